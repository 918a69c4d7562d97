//! The seizure: takes what is asked for away from dom0, and proves it.
//!
//! The order is the contract: nothing slow or fallible happens before every device is held.
//!
//! | step | room | |
//! | --- | --- | --- |
//! | 1 | [`dom0`] | is this a Xen dom0 at all? |
//! | 2 | [`hold`] | an override that no driver answers to, on every device that is asked for |
//! | 3 | [`module`] | pciback is there, or is loaded |
//! | 4 | [`slot`] | at the same time: drivers that were quicker let go, and each device is given to pciback |
//! | 5 | [`late`] | what is not there is expected |
//! | 6 | [`proof`] | who has each device now |
//!
//! Steps 3 and 4 are done side by side, by a process for the module and one for each slot ([`Host::side_by_side`]): what is slow in them is the kernel's waiting. What becomes of a device there is a number
//! ([`progress`]).

pub mod dom0;
pub mod hold;
pub mod late;
pub mod module;
pub mod progress;
pub mod proof;
pub mod release;
pub mod slot;

use crate::{
    device::{DEVICES, Devices},
    guests,
    host::{Errno, Host, Level, Turn},
    lines::{self, FILE_SIZE},
    pci::{Address, bus},
    plan::Action,
    request::{Fault, Mistake, Problem, Request},
    say,
    text::{Excerpt, behind, word_number},
};
use module::Answer;
use progress::{Progress, Stage};

/// The name of the driver that hands devices to guests (`drivers/xen/xen-pciback/pci_stub.c`).
pub const PCIBACK: &str = "pciback";

/// Where its attributes are.
const PCIBACK_FOLDER: &str = "/sys/bus/pci/drivers/pciback";

/// The override that holds a device: the name of no driver.
pub const HOLD: &str = "pciseize";

/// Both: with one of them no driver of dom0's takes a device.
const OURS: &str = "pciseize pciback";

/// How long a step may take where nobody said anything, in seconds.
const TIMEOUT: u32 = 30;

/// Gives every pending device to pciback: steps 3 to 5. Gives back what came of pciback.
#[inline(never)]
pub fn take<H: Host>(host: &mut H, request: &mut Request, devices: &mut Devices) -> Answer {
    if request.switches.debug {
        say!(host, Level::Info, "held; releasing drivers, loading xen-pciback, binding");
    }
    let is_registered = hold::is_registered(host);
    if is_registered {
        guests::look(host, devices);
        host.note(0, Answer::READY.0);
        hold::unready(host, devices);
    }
    let mut is_due = false;
    for (number, device) in devices.iter().enumerate() {
        let stage = slot::first_stage(device);
        host.note(1 + number, Progress::at(stage).0);
        is_due |= stage != Stage::Idle || device.action == Action::Expect;
    }
    if !is_due {
        return Answer::READY;
    }
    let seconds = if request.switches.timeout == 0 { TIMEOUT } else { request.switches.timeout };
    // The module first, which the others wait for. Its number is none of a device's.
    let mut is_module_due = !is_registered;
    let (mut number, mut slot) = (0, None);
    let mut tasks = || {
        if core::mem::take(&mut is_module_due) {
            return Some(DEVICES);
        }
        while let Some(device) = devices.get(number) {
            number += 1;
            let other = Some(device.address.slot());
            if other != slot && slot::first_stage(device) != Stage::Idle {
                slot = other;
                return Some(number - 1);
            }
        }
        None
    };
    host.side_by_side(&mut tasks, seconds, &|host, task| {
        if task == DEVICES {
            let answer = module::load(host, &request.module_parameters);
            host.note(0, answer.0);
            return Turn::Done;
        }
        slot::turn(host, devices, task)
    });
    for (number, device) in devices.iter_mut().enumerate() {
        Progress(host.noted(1 + number)).settle(device);
    }
    let answer = Answer(host.noted(0));
    if answer == Answer::READY_WITHOUT_PARAMETERS {
        let text = Excerpt::of(&request.module_parameters);
        request.problems.add(Problem { origin: request.module_parameters_at, text, fault: Fault::Is(Mistake::RefusedParameters) });
    }
    late::expect(host, request, devices, answer.is_ready());
    answer
}

/// Whether pciback has initialised the device: it then lists it in `irq_handlers`, in a line that begins with the address (`pci_stub.c`, `irq_handlers_show`). `None`: nobody can tell, since that file
/// ends at one page.
fn initialised<H: Host>(host: &mut H, address: Address) -> Option<bool> {
    let (mut is_listed, mut size) = (false, 0);
    let name = address.text();
    let read = lines::each(host, b"/sys/bus/pci/drivers/pciback/irq_handlers", FILE_SIZE, &mut |_, _, line, _| {
        is_listed |= behind(name.bytes(), line).is_some_and(|rest| rest.starts_with(b":"));
        size += line.len() + 1;
    });
    // The longest line has some 50 bytes: with less than that missing the page may have been full.
    if is_listed || (read.is_ok() && size < 4000) { Some(is_listed) } else { None }
}

/// Whether this is pciback's name.
#[inline(never)]
pub(crate) fn is_pciback(driver: &[u8]) -> bool {
    driver == PCIBACK.as_bytes()
}

/// Whether the override of a device is one of ours. In another case it names no driver either.
fn has_our_override<H: Host>(host: &mut H, address: Address) -> Result<bool, Errno> {
    let mut buffer = [0; 16];
    let name = host.read(&bus::attribute(address, "/driver_override"), 0, &mut buffer)?;
    Ok(word_number(OURS, name.trim_ascii_end()).is_some())
}

/// Writes the override of a device: the name of the one driver that may have it.
fn set_override<H: Host>(host: &mut H, address: Address, driver: &str) -> Result<(), Errno> {
    host.write(&bus::attribute(address, "/driver_override"), driver.as_bytes())
}
