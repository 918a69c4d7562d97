//! The queue: what the first process begins next.
//!
//! First come the module and the drivers that have to let go, all at the same time. A device is
//! given to pciback when pciback is there and the slot of the device has nothing else to do, and
//! **the beginnings of two binds never overlap**: pciback adds every device that it gets to a list
//! without a lock (`conf_space_quirks.c`, `register_quirk`), before it enables and resets the
//! device (`pci_stub.c`, `pcistub_init_device`). What takes long is the reset, and resets do
//! overlap. A removal from that list, by an unbind from pciback, is kept apart in the same way.

use super::{
    MODULE,
    board::{Progress, Stage},
    slot,
};
use crate::{
    device::Devices,
    host::{Files, Next, Task, Time, Workers},
    pci::{Address, bus},
    pciback::Answer,
};

/// What is left to be begun.
pub struct Queue<'d> {
    devices: &'d Devices,
    /// Whether somebody has to load pciback.
    module_is_due: bool,
    /// The slots that nobody has looked through yet for drivers that have to let go begin here.
    unreleased: Task,
    /// No device before this one waits for its turn.
    waiting: Task,
    /// The bind that was begun last.
    last_bind: Option<Begun>,
}

/// A bind that was begun.
#[derive(Clone, Copy)]
struct Begun {
    task: Task,
    address: Address,
    /// Whether the device was disabled before. Then it is enabled as soon as it is on the list.
    was_disabled: bool,
}

impl Queue<'_> {
    /// All devices at their first stages, as they were posted.
    pub fn new(devices: &Devices, module_is_due: bool) -> Queue<'_> {
        Queue {
            devices,
            module_is_due,
            unreleased: 0,
            waiting: 0,
            last_bind: None,
        }
    }

    /// What comes next. While a device waits for its turn, [`Next::AfterTask`] or [`Next::Later`].
    pub fn next<H: Files + Workers>(&mut self, host: &mut H, time: Time) -> Next {
        if core::mem::take(&mut self.module_is_due) {
            return Next::Begin(MODULE);
        }
        if let Some(task) = self.next_slot() {
            return Next::Begin(task);
        }
        let Some(task) = self.next_waiting(host) else {
            return match self.is_anything_waiting(host) {
                true => Next::AfterTask,
                false => Next::Nothing,
            };
        };
        // What did not come to an end in time is no answer either.
        let is_loading = host.posted(MODULE) == 0 && host.is_running(MODULE);
        if is_loading && time == Time::Left {
            return Next::AfterTask;
        }
        if !Answer::from_bits(host.posted(MODULE)).is_ready() {
            return self.begin(host, task);
        }
        if time == Time::Over {
            // It keeps its hold.
            return Next::Nothing;
        }
        if let Some(wait) = self.wait_for_last_bind(host) {
            return wait;
        }
        self.note_bind(host, task);
        self.begin(host, task)
    }

    /// The first device of the next slot that has a driver that must let go, or a device that is to
    /// leave pciback's list.
    fn next_slot(&mut self) -> Option<Task> {
        let is_first = |stage| matches!(stage, Stage::Release | Stage::Unlist);
        let mut devices = self.devices.iter().enumerate().skip(self.unreleased);
        let found = devices.find(|(_, device)| is_first(slot::first_stage(device)));
        let Some((task, first)) = found else {
            self.unreleased = self.devices.len();
            return None;
        };
        let slot = first.address().slot();
        let functions = self.devices.iter().skip(task);
        self.unreleased = task
            + functions
                .take_while(|device| device.address().slot() == slot)
                .count();
        Some(task)
    }

    /// The next device that waits for its turn, and whose slot has nothing else to do.
    fn next_waiting<H: Workers>(&mut self, host: &mut H) -> Option<Task> {
        while self.waiting < self.devices.len() && !may_wait(host, self.waiting) {
            self.waiting += 1;
        }
        (self.waiting..self.devices.len())
            .find(|&task| is_waiting(host, task) && !self.slot_is_busy(host, task))
    }

    /// Whether a process works on the slot of a device.
    fn slot_is_busy<H: Workers>(&self, host: &mut H, task: Task) -> bool {
        let slot_of = |task: Task| self.devices.get(task).map(|device| device.address().slot());
        let slot = slot_of(task);
        let mut first = task;
        while first > 0 && slot_of(first - 1) == slot {
            first -= 1;
        }
        let mut tasks = (first..).take_while(|&other| slot_of(other) == slot);
        tasks.any(|other| host.is_running(other))
    }

    /// Whether a device waits for its turn, or will.
    fn is_anything_waiting<H: Workers>(&self, host: &mut H) -> bool {
        (self.waiting..self.devices.len()).any(|task| {
            is_waiting(host, task) || may_wait(host, task) && self.slot_is_busy(host, task)
        })
    }

    /// Begins what is to be done for a device whose turn it is.
    fn begin<H: Workers>(&self, host: &mut H, task: Task) -> Next {
        if let Some(device) = self.devices.get(task) {
            let progress = Progress::from_bits(host.posted(task));
            let begun = progress.on(slot::stage_of_its_turn(device));
            host.post(task, begun.to_bits());
        }
        Next::Begin(task)
    }

    /// Notes that the bind of a device begins.
    fn note_bind<H: Files>(&mut self, host: &mut H, task: Task) {
        self.last_bind = self.devices.get(task).map(|device| Begun {
            task,
            address: device.address(),
            was_disabled: bus::is_enabled(host, device.address()) == Some(false),
        });
    }

    /// How to wait for the last bind while that may still be at its beginning: it has not returned,
    /// and its device is not enabled. A device that was enabled before cannot tell.
    fn wait_for_last_bind<H: Files + Workers>(&self, host: &mut H) -> Option<Next> {
        let begun = self.last_bind?;
        let is_past_bind = Progress::from_bits(host.posted(begun.task)).stage > Stage::Bind;
        if is_past_bind || !host.is_running(begun.task) {
            None
        } else if !begun.was_disabled {
            Some(Next::AfterTask)
        } else if bus::is_enabled(host, begun.address) == Some(true) {
            None
        } else {
            Some(Next::Later)
        }
    }
}

/// Whether a device waits for its turn.
fn is_waiting<H: Workers>(host: &mut H, task: Task) -> bool {
    Progress::from_bits(host.posted(task)).stage == Stage::Await
}

/// Whether a device waits for its turn, or will when its driver has let go.
fn may_wait<H: Workers>(host: &mut H, task: Task) -> bool {
    let stage = Progress::from_bits(host.posted(task)).stage;
    matches!(stage, Stage::Await | Stage::Release)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{boxed::Box, format};

    use super::*;
    use crate::{
        device::{Action, Device, Wish},
        host::{
            Errno,
            testing::{Machine, boxed},
        },
        pci::bus::DriverName,
    };

    /// Devices, each with the driver that has to let go. Empty: none has it.
    fn devices(list: &[(&str, &str)]) -> Box<Devices> {
        let mut devices = boxed(Devices::new);
        for (address, driver) in list {
            let wish = Wish {
                item: Some(0),
                is_by_address: true,
            };
            let address = Address::parse(address.as_bytes()).expect("an address");
            let mut device = Device::new(address, wish, Action::Seize);
            device.work.is_due = true;
            device.work.previous_driver = DriverName::from_slice(driver.as_bytes()).expect("room");
            devices.push(device).expect("room");
        }
        devices
    }

    /// A machine where nothing was done yet for these devices.
    fn machine(devices: &Devices) -> Machine {
        let mut host = Machine::new();
        for (task, device) in devices.iter().enumerate() {
            let address = device.address();
            let (name, stage) = (address.text(), slot::first_stage(device));
            let name = std::str::from_utf8(&name).expect("an address");
            host.function(&format!("pci0000:00/{name}"), "8086:10d3", "020000");
            set_enabled(&mut host, name, "0\n");
            reach(&mut host, task, stage);
        }
        host
    }

    fn set_enabled(host: &mut Machine, name: &str, count: &str) {
        host.file(&format!("/sys/bus/pci/devices/{name}/enable"), count);
    }

    /// Posts that a device has come to a stage.
    fn reach(host: &mut Machine, task: Task, stage: Stage) {
        host.post(task, Progress::at(stage).to_bits());
    }

    const FIRST: &str = "0000:03:00.0";

    #[test]
    fn begins_with_the_module_and_the_drivers_that_have_to_let_go() {
        let devices = devices(&[
            ("03:00.0", ""),
            ("03:00.1", "e1000e"),
            ("03:00.2", "e1000e"),
            ("04:00.0", "nvme"),
        ]);
        let mut host = machine(&devices);
        let mut queue = Queue::new(&devices, true);
        for task in [MODULE, 1, 3] {
            assert_eq!(queue.next(&mut host, Time::Left), Next::Begin(task));
            host.running.insert(task);
        }
        assert_eq!(queue.next(&mut host, Time::Left), Next::AfterTask);
        host.post(MODULE, Answer::Ready.to_bits());
        host.running.remove(&MODULE);
        assert_eq!(
            queue.next(&mut host, Time::Left),
            Next::AfterTask,
            "a driver in the slot has not let go"
        );
        host.running.remove(&1);
        for task in [1, 2] {
            reach(&mut host, task, Stage::Await);
        }
        for task in [0, 1, 2] {
            assert_eq!(queue.next(&mut host, Time::Left), Next::Begin(task));
            reach(&mut host, task, Stage::Done);
        }
        assert_eq!(queue.next(&mut host, Time::Left), Next::AfterTask);
        host.running.remove(&3);
        assert_eq!(
            queue.next(&mut host, Time::Left),
            Next::Nothing,
            "its process has died"
        );
    }

    #[test]
    fn binds_no_two_functions_of_a_slot_at_the_same_time() {
        let devices = devices(&[("03:00.0", ""), ("03:00.1", ""), ("04:00.0", "")]);
        let mut host = machine(&devices);
        host.post(MODULE, Answer::Ready.to_bits());
        let mut queue = Queue::new(&devices, false);
        assert_eq!(queue.next(&mut host, Time::Left), Next::Begin(0));
        host.running.insert(0);
        set_enabled(&mut host, FIRST, "1\n");
        assert_eq!(queue.next(&mut host, Time::Left), Next::Begin(2));
        reach(&mut host, 2, Stage::Done);
        assert_eq!(queue.next(&mut host, Time::Left), Next::AfterTask);
        host.running.remove(&0);
        assert_eq!(queue.next(&mut host, Time::Left), Next::Begin(1));
    }

    /// What the first device shows before its bind and while that lasts, and what comes next then.
    #[test]
    fn begins_a_bind_when_the_one_before_is_past_its_beginning() {
        for (before, now, next) in [
            ("0\n", "0\n", Next::Later),
            ("0\n", "1\n", Next::Begin(1)),
            ("0\n", "2\n", Next::Begin(1)),
            ("0\n", "odd\n", Next::Later),
            ("1\n", "1\n", Next::AfterTask),
            ("1\n", "2\n", Next::AfterTask),
            ("odd\n", "1\n", Next::AfterTask),
        ] {
            let devices = devices(&[("03:00.0", ""), ("04:00.0", "")]);
            let mut host = machine(&devices);
            host.post(MODULE, Answer::Ready.to_bits());
            let mut queue = Queue::new(&devices, false);
            set_enabled(&mut host, FIRST, before);
            assert_eq!(queue.next(&mut host, Time::Left), Next::Begin(0));
            host.running.insert(0);
            set_enabled(&mut host, FIRST, now);
            assert_eq!(queue.next(&mut host, Time::Left), next, "{before} {now}");
            if next != Next::Begin(1) {
                assert_eq!(queue.next(&mut host, Time::Over), Next::Nothing);
                reach(&mut host, 0, Stage::Unlist);
                let next = queue.next(&mut host, Time::Left);
                assert_eq!(next, Next::Begin(1), "it has returned");
            }
        }
    }

    #[test]
    fn begins_a_bind_when_the_process_of_the_one_before_has_died() {
        let devices = devices(&[("03:00.0", ""), ("04:00.0", "")]);
        let mut host = machine(&devices);
        host.post(MODULE, Answer::Ready.to_bits());
        let mut queue = Queue::new(&devices, false);
        assert_eq!(queue.next(&mut host, Time::Left), Next::Begin(0));
        host.running.insert(0);
        assert_eq!(queue.next(&mut host, Time::Left), Next::Later);
        host.running.remove(&0);
        assert_eq!(queue.next(&mut host, Time::Left), Next::Begin(1));
    }

    #[test]
    fn goes_on_without_pciback() {
        for (answer, time) in [
            (Answer::NoFile.to_bits(), Time::Left),
            (Answer::Refused(Errno::EINVAL).to_bits(), Time::Left),
            // The module is still being loaded.
            (0, Time::Over),
        ] {
            let devices = devices(&[("03:00.0", ""), ("04:00.0", "")]);
            let mut host = machine(&devices);
            host.post(MODULE, answer);
            host.running.insert(MODULE);
            let mut queue = Queue::new(&devices, false);
            for task in [0, 1] {
                assert_eq!(queue.next(&mut host, time), Next::Begin(task));
                host.running.insert(task);
            }
            assert_eq!(queue.next(&mut host, time), Next::Nothing);
        }
    }
}
