//! The seizure: takes what is asked for away from dom0, and proves it.
//!
//! The order is the contract: nothing slow or fallible happens before every device is held.
//!
//! | step | file | |
//! | --- | --- | --- |
//! | 1 | [`hold`] | an override that no driver answers to, on every device that is asked for |
//! | 2 | [`module`], [`parameters`] | pciback is there, or is loaded; with which parameters |
//! | 3 | [`queue`], [`slot`] | old drivers let go meanwhile; then pciback gets one device after another |
//! | 4 | [`expect`] | what is not there is expected |
//! | 5 | [`prove`] | who has each device now |
//!
//! Steps 2 and 3 are done side by side, each by a process of its own ([`Workers::side_by_side`]):
//! what is slow in them is the kernel's waiting. How far a device has come is posted on the
//! [`board`].

pub mod board;
pub mod expect;
pub mod hold;
pub mod module;
pub mod parameters;
pub mod prove;
pub mod queue;
pub mod slot;

use crate::{
    device::{Action, DEVICES, Devices},
    facts::guests,
    host::{Host, Level, TASKS, Task, Turn, Workers},
    pciback::{self, Answer},
    request::{Mistake, Request},
    say,
};
use board::{Progress, Stage};
use queue::Queue;

/// How long a step may take where the user names no `timeout`, in seconds.
pub const TIMEOUT: u32 = 30;

/// How long a step may take, in seconds.
pub fn timeout(request: &Request) -> u32 {
    request.switches.timeout.unwrap_or(TIMEOUT)
}

/// The task that loads the module. Its number is not that of a device: those are below [`DEVICES`].
const MODULE: Task = DEVICES;

/// Where a run posts its timeout, for the process that has begun it. No task has this number.
pub const LIMIT: Task = DEVICES + 1;

const _: () = assert!(LIMIT < TASKS, "both have a place on the board");

/// Gives every held device to pciback: steps 2 to 4. Gives back what came of loading pciback.
pub fn give_to_pciback<H: Host>(
    host: &mut H,
    request: &mut Request,
    devices: &mut Devices,
) -> Answer {
    if request.switches.debug {
        say!(
            host,
            Level::Info,
            "held; releasing drivers, loading xen-pciback, binding"
        );
    }
    let is_registered = pciback::is_registered(host);
    if is_registered {
        guests::look(host, devices);
        host.post(MODULE, Answer::Ready.to_bits());
        hold::hold_unready(host, devices);
    }
    let work_is_due = post_first_stages(host, devices);
    let expects = devices.iter().any(|device| device.action == Action::Expect);
    if !work_is_due && !expects {
        if is_registered {
            parameters::note_others(host, request);
        }
        return Answer::Ready;
    }
    let mut queue = Queue::new(devices, !is_registered);
    host.side_by_side(
        timeout(request),
        &mut |host, time| queue.next(host, time),
        &|host, task| {
            if task == MODULE {
                let answer = module::load(host, &request.module_parameters);
                host.post(MODULE, answer.to_bits());
                return Turn::Done;
            }
            slot::advance(host, devices, task)
        },
    );
    for (task, device) in devices.iter_mut().enumerate() {
        Progress::from_bits(host.posted(task)).settle(device);
    }
    let answer = Answer::from_bits(host.posted(MODULE));
    match answer {
        Answer::Ready => parameters::note_others(host, request),
        Answer::ReadyWithoutParameters => note_refused_parameters(request),
        _ => {}
    }
    expect::enlist_expected(host, request, devices, answer);
    answer
}

/// Posts where each device begins. Gives back whether there is anything to do.
fn post_first_stages<H: Workers>(host: &mut H, devices: &Devices) -> bool {
    let mut is_due = false;
    for (task, device) in devices.iter().enumerate() {
        let stage = slot::first_stage(device);
        host.post(task, Progress::at(stage).to_bits());
        is_due |= stage != Stage::Idle;
    }
    is_due
}

/// Notes that the module did not take its parameters.
fn note_refused_parameters(request: &mut Request) {
    let (origin, text) = (
        request.module_parameters_at,
        request.module_parameters.clone(),
    );
    parameters::note(request, origin, &text, Mistake::RefusedParameters);
}
