//! The report: what became of every device that was asked for, as text for people and for programs.
//!
//! Data in and text out: nothing here looks at the machine. [`store`] alone reads and writes a
//! file.
//!
//! | file | |
//! | --- | --- |
//! | [`log`] | lines for the kernel log or the terminal |
//! | [`table`] | what is asked for, as a table whose lines paste into the configuration |
//! | [`show`] | a page about one device |
//! | [`list`] | every function, in a line that pastes as well |
//! | [`json`] | all of these for programs |
//! | [`explain`] | why a device is not as asked, what to know before it is taken |
//! | [`groups`] | what an IOMMU cannot tell apart |
//! | [`guest_config`] | what a guest's configuration says of devices |
//! | [`layout`] | columns, colours, and text that wraps |
//! | [`sink`] | text on its way out |
//! | [`store`] | `/run/pciseize/report`, which outlives the initramfs |

pub mod explain;
pub mod groups;
pub mod guest_config;
pub mod json;
pub mod layout;
pub mod list;
pub mod log;
pub mod show;
pub mod sink;
pub mod store;
pub mod table;

use crate::{
    device::{Action, Device, Devices, Outcome},
    facts::{dom0::Nameless, groups::Groups, names::Names, usage::Usage},
    host::Terminal,
    pciback::Answer,
    plan::{behind::BehindList, rivals::Rivals, warnings::WarningList},
    put,
    request::{Problem, Request},
    text::Line,
};
pub use store::Image;

/// When `seize` ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// As the first process of an initramfs, before its `/init`.
    FirstProcess,
    /// In the initramfs, before the root file system is there.
    Initramfs,
    /// On the running host.
    Host,
}

impl Stage {
    /// Its word in the report.
    pub const fn word(self) -> &'static str {
        match self {
            Stage::FirstProcess | Stage::Initramfs => "initramfs",
            Stage::Host => "host",
        }
    }
}

/// What a report tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// What `seize` would do.
    Plan,
    /// What it has done.
    Seizure,
    /// How that is now.
    Status,
    /// What there is.
    List,
}

/// All that a report tells.
#[derive(Clone, Copy, Debug)]
pub struct Report<'r> {
    /// What it tells.
    pub kind: Kind,
    /// What was asked for.
    pub request: &'r Request,
    /// What became of it, in order of addresses.
    pub devices: &'r Devices,
    /// The names of the devices, where somebody looked for them.
    pub names: &'r Names,
    /// What an IOMMU cannot tell apart, where somebody looked for it.
    pub groups: &'r Groups,
    /// What dom0 uses, where somebody looked for it.
    pub usage: &'r Usage,
    /// What is to be warned of, in a plan.
    pub warnings: &'r WarningList,
    /// Who else asks for devices.
    pub rivals: &'r Rivals,
    /// What is behind refused bridges.
    pub behind: &'r BehindList,
    /// Whether this is a Xen dom0.
    pub is_dom0: bool,
    /// The Xen of this boot, where somebody looked for it and it knows no names.
    pub nameless: Option<Nameless>,
    /// When it ran.
    pub stage: Stage,
    /// What came of loading pciback.
    pub pciback: Answer,
    /// What the image of this boot was configured with, if it has seized.
    pub image: Option<Image>,
    /// Where it is printed.
    pub terminal: Terminal,
}

/// Whether the image of this boot has the configuration as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// It has.
    Same,
    /// It was made with another.
    Another,
    /// It has not run `seize`.
    Missing,
}

impl Report<'_> {
    /// Whether the image of this boot has the configuration as it is now.
    pub fn agreement(&self) -> Agreement {
        let mut digest = Line::new();
        put!(&mut digest, "{}", self.request.digest);
        match self.image {
            None => Agreement::Missing,
            Some(image) if image.digest == digest.bytes() => Agreement::Same,
            Some(_) => Agreement::Another,
        }
    }

    /// Which boot does what the configuration says: of this boot's image only if it has that one.
    pub fn due_boot(&self) -> &'static str {
        match self.agreement() {
            Agreement::Same => "a boot",
            Agreement::Another | Agreement::Missing => "a boot with a new image",
        }
    }

    /// Whether it tells outcomes.
    pub fn has_outcomes(&self) -> bool {
        matches!(self.kind, Kind::Seizure | Kind::Status)
    }

    /// Whether somebody reads it who may do something about it: with the status, or after a boot.
    pub fn is_followed_by_a_step(&self) -> bool {
        self.kind == Kind::Status || self.kind == Kind::Seizure && self.stage != Stage::Host
    }

    /// Whether every device is as it was asked to be, and every item was understood.
    pub fn is_as_asked(&self) -> bool {
        let mut devices = self.devices.iter();
        self.request.problems.is_empty() && devices.all(|device| self.is_device_as_asked(device))
    }

    /// Whether `strict` stops the boot. What dom0 needs and a broad item asks for is not as asked,
    /// but no reason to stop: that would lock out whoever the hold protects. Nor is a wrong name.
    pub fn is_to_stop(&self) -> bool {
        let is_reason = |device: &Device| {
            device.action != Action::LeaveNeeded && !self.is_device_as_asked(device)
        };
        let problems = &self.request.problems;
        let is_grave = |problem: &Problem| !problem.is_notice() && !problem.is_of_name();
        let has_reason = problems.iter().any(is_grave)
            || problems.beyond > 0
            || self.devices.iter().any(is_reason);
        self.request.switches.strict && has_reason
    }

    /// Whether a device is, or will be, as it was asked to be.
    pub fn is_device_as_asked(&self, device: &Device) -> bool {
        if self.has_outcomes() {
            return device.is_as_asked();
        }
        let has_failed = device.action == Action::Seize && device.work.failure.is_some();
        device.action.is_as_asked() && !has_failed
    }

    /// How many devices pciback has, with a guest or not.
    pub fn count_seized(&self) -> u32 {
        let has_it =
            |device: &&Device| matches!(device.outcome, Outcome::Seized | Outcome::Assigned);
        self.devices.iter().filter(has_it).count() as u32
    }
}

#[cfg(test)]
mod testing {
    //! What the tests of a report tell of: a memory that is filled by hand.

    extern crate std;
    use std::{boxed::Box, vec::Vec};

    use super::sink::Out;
    use crate::{
        cli::Memory,
        device::{Action, Device, Wish},
        host::{
            Errno,
            testing::{Machine, boxed},
        },
        pci::{
            Address, Identity,
            bus::DriverName,
            isolation::testing::{Built, file_of},
        },
        request::{
            ItemId,
            source::embedded::{read, section},
        },
    };

    /// A memory whose request has the items of `text`, from a source with the name `conf`.
    pub fn memory(text: &str) -> Box<Memory> {
        let mut memory = boxed(Memory::new);
        let section = section(text.as_bytes()).expect("room");
        read(&mut memory.request, b"conf", &section);
        memory
    }

    /// What is written, where that succeeds.
    pub fn written(write: impl FnOnce(&mut Out) -> Result<(), Errno>) -> Vec<u8> {
        let mut written = Vec::new();
        let result = write(&mut |bytes| {
            written.extend_from_slice(bytes);
            Ok(())
        });
        assert_eq!(result, Ok(()));
        written
    }

    pub fn address(text: &str) -> Address {
        Address::parse(text.as_bytes()).expect(text)
    }

    pub fn driver(text: &str) -> DriverName {
        DriverName::from_slice(text.as_bytes()).expect(text)
    }

    /// A network card.
    pub const NIC: Identity = Identity {
        ids: 0x8086_10d3_1af4_1100,
        class: 0x02_0000,
    };

    /// Adds a network card that an item asks for.
    pub fn add<'m>(
        memory: &'m mut Memory,
        at: &str,
        item: Option<ItemId>,
        action: Action,
    ) -> &'m mut Device {
        let wish = Wish {
            item,
            is_by_address: false,
        };
        let mut device = Device::new(address(at), wish, action);
        device.function.identity = Some(NIC);
        memory.devices.push(device).expect("room");
        memory.devices.last_mut().expect("a device")
    }

    /// A machine with these functions, on a root bus. Those of one slot are of one group.
    pub fn machine_with_groups(functions: &[&str]) -> Machine {
        let mut host = Machine::new();
        for name in functions {
            host.function(&std::format!("pci0000:03/{name}"), "8086:10d3", "020000");
            host.bytes(&file_of(name), &Built::of("integrated many").config());
        }
        host
    }

    /// A machine whose card at 0000:03:00.0 carries the default route and holds a file system.
    pub fn machine_in_use() -> Machine {
        let mut host = Machine::new();
        let way = "pci0000:00/0000:00:1c.0/0000:03:00.0";
        host.file(
            "/proc/net/route",
            "eth0 00000000 0102A8C0 0003 0 0 0 00000000\n",
        );
        host.link(
            "/sys/class/net/eth0",
            &std::format!("../../devices/{way}/net/eth0"),
        );
        host.file(
            "/proc/self/mountinfo",
            "36 35 8:1 / / rw - ext4 /dev/sda1 rw\n",
        );
        host.link(
            "/sys/dev/block/8:1",
            &std::format!("../../devices/{way}/block/sda"),
        );
        host
    }
}

#[cfg(test)]
mod tests {
    use super::{
        testing::{add, memory},
        *,
    };
    use crate::device::{Failure, Step};

    #[test]
    fn tells_whether_the_image_has_the_configuration_of_now() {
        let memory = memory("");
        let mut report = memory.report(Kind::Status, true);
        assert_eq!(report.agreement(), Agreement::Missing);
        let mut digest = Line::new();
        put!(&mut digest, "{}", memory.request.digest);
        let digest: [u8; 16] = digest.bytes().try_into().expect("16 digits");
        report.image = Some(Image { digest });
        assert_eq!(report.agreement(), Agreement::Same);
        report.image = Some(Image { digest: [b'0'; 16] });
        assert_eq!(report.agreement(), Agreement::Another);
    }

    #[test]
    fn judges_a_plan_by_actions_and_the_rest_by_outcomes() {
        for (action, outcome, in_plan, in_status) in [
            (Action::Seize, Outcome::Seized, true, true),
            (Action::Seize, Outcome::Held, true, false),
            (Action::Keep(0), Outcome::Kept, true, true),
            (Action::RefuseBridge, Outcome::Refused, false, false),
            (Action::Expect, Outcome::Absent, false, false),
        ] {
            let mut memory = memory("03:00.0");
            add(&mut memory, "03:00.0", Some(0), action).outcome = outcome;
            for (kind, expected) in [
                (Kind::Plan, in_plan),
                (Kind::Status, in_status),
                (Kind::Seizure, in_status),
            ] {
                let report = memory.report(kind, true);
                assert_eq!(
                    report.is_as_asked(),
                    expected,
                    "{kind:?} {action:?} {outcome:?}"
                );
            }
        }
    }

    #[test]
    fn plans_nothing_as_asked_for_a_device_that_cannot_be_read() {
        let mut memory = memory("03:00.0");
        add(&mut memory, "03:00.0", Some(0), Action::Seize)
            .work
            .failure = Some(Failure {
            step: Step::Identify,
            errno: crate::host::Errno::EIO,
        });
        assert!(!memory.report(Kind::Plan, true).is_as_asked());
    }

    #[test]
    fn is_not_as_asked_with_a_problem() {
        let good = memory("03:00.0");
        assert!(good.report(Kind::Plan, true).is_as_asked());
        let bad = memory("03:00.9");
        assert!(!bad.report(Kind::Plan, true).is_as_asked());
    }

    #[test]
    fn counts_what_pciback_has() {
        let mut memory = memory("03:00.*");
        for (at, outcome) in [
            ("03:00.0", Outcome::Seized),
            ("03:00.1", Outcome::Unready),
            ("03:00.2", Outcome::Assigned),
            ("03:00.3", Outcome::Kept),
            ("03:00.4", Outcome::Kept),
        ] {
            add(&mut memory, at, Some(0), Action::Seize).outcome = outcome;
        }
        assert_eq!(memory.report(Kind::Status, true).count_seized(), 2);
    }
}
