//! The report that is kept: `/run/pciseize/report`. `/run` moves to the real root, so that what the
//! initramfs wrote is there afterwards.

use super::{Report, Stage, json};
use crate::{
    device::{Devices, Failure, FirstRun, Outcome, Step},
    host::{Errno, Files, Workers, lines},
    pci::{Address, bus::DriverName},
    put,
    text::{Line, first_part},
};

/// The folder of the report.
const FOLDER: &[u8] = b"/run/pciseize";

/// The report.
pub const FILE: &str = "/run/pciseize/report";

/// The report of the first process of an initramfs.
///
/// Its `/init` may mount an empty `/run` (initramfs-tools does), and deletes what is in the
/// image. Only the devtmpfs is the same one wherever it is mounted, and stays until the host goes
/// down (`drivers/base/devtmpfs.c`, `public_dev_mount`).
pub const EARLY_FILE: &str = "/dev/pciseize.report";

/// Most bytes of a report that are read: 8,192 devices with 512 bytes each. What is beyond is not
/// remembered.
const REPORT_SIZE: u64 = 4 << 20;

/// Writes the report, replacing an earlier one in one step: whoever reads sees a whole one.
///
/// # Errors
/// The kernel's.
pub fn write<H: Files + Workers>(host: &mut H, report: &Report) -> Result<(), Errno> {
    let file = file_of(report.stage);
    if file == FILE {
        make_folder(host)?;
    }
    // Two runs that could not wait for each other must not write into one file.
    let mut unfinished = Line::new();
    put!(&mut unfinished, "{}.{}", file, host.process());
    match host.remove(unfinished.bytes()) {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(errno) => return Err(errno),
    }
    json::write(report, &mut |bytes| host.append(unfinished.bytes(), bytes))?;
    host.rename(unfinished.bytes(), file.as_bytes())
}

/// Where a run keeps its report.
pub const fn file_of(stage: Stage) -> &'static str {
    match stage {
        Stage::FirstProcess => EARLY_FILE,
        Stage::Initramfs | Stage::Host => FILE,
    }
}

/// Makes the folder of the report.
///
/// # Errors
/// The kernel's.
pub fn make_folder<H: Files>(host: &mut H) -> Result<(), Errno> {
    host.make_folder(b"/run")?;
    host.make_folder(FOLDER)
}

/// Whether there is a report of this boot.
pub fn is_there<H: Files>(host: &mut H) -> bool {
    last(host).is_some()
}

/// The last report of this boot.
fn last<H: Files>(host: &mut H) -> Option<&'static str> {
    let is_there = |file: &&str| host.read(file.as_bytes(), 0, &mut [0]).is_ok();
    [FILE, EARLY_FILE].into_iter().find(is_there)
}

/// What the image of this boot was configured with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image {
    /// The digest of its configuration, as it was shown.
    pub digest: [u8; 16],
}

/// Takes over from an earlier report of this boot what only the first run can know: the first
/// outcome of each device, and the driver that it was taken from; and which step of the last run
/// failed. What is no longer asked for is forgotten.
///
/// Gives back what the image was configured with, if `seize` first ran there.
pub fn remember<H: Files>(host: &mut H, devices: &mut Devices) -> Option<Image> {
    let (mut at, mut image) = (0, None);
    // Where there is none, there is nothing to remember.
    let file = last(host)?;
    let _ = lines::each(host, file.as_bytes(), REPORT_SIZE, &mut |_, line| {
        image = image.or_else(|| image_in(line.text));
        let Some(Ok(address)) = value(line.text, b"\"address\":\"").map(Address::parse) else {
            return;
        };
        // Both are in order.
        while devices
            .get(at)
            .is_some_and(|d| d.address().bits() < address.bits())
        {
            at += 1;
        }
        let Some(device) = devices
            .get_mut(at)
            .filter(|device| device.address() == address)
        else {
            return;
        };
        let outcome = value(line.text, b"\"outcome\":\"").and_then(Outcome::from_word);
        let latest = value(line.text, b"\"latest\":\"").and_then(Outcome::from_word);
        let mut origin = DriverName::new();
        let _ = origin.extend_from_slice(value(line.text, b"\"origin\":\"").unwrap_or_default());
        device.first_run = Some(FirstRun {
            outcome,
            latest,
            failure: failure_in(line.text),
            origin,
        });
    });
    image
}

/// What the image of this boot was configured with, if `seize` first ran there.
pub fn image<H: Files>(host: &mut H) -> Option<Image> {
    let mut beginning = [0; 256];
    let file = last(host)?;
    let read = host.read(file.as_bytes(), 0, &mut beginning).ok()?;
    image_in(read)
}

/// The image that a line of a report names.
fn image_in(line: &[u8]) -> Option<Image> {
    let digest = value(line, b"\"stage\":\"initramfs\",\"config_digest\":\"")?;
    let digest = *digest.first_chunk()?;
    Some(Image { digest })
}

/// The failure that a line of a report tells.
fn failure_in(line: &[u8]) -> Option<Failure> {
    let step = Step::from_word(value(line, b"\"failed\":\"")?)?;
    let rest = value(line, b"\"errno\":")?;
    let number = first_part(rest, b',');
    let errno = Errno(core::str::from_utf8(number).ok()?.parse().ok()?);
    let is_one = (1..=Errno::STUCK.0).contains(&errno.0);
    is_one.then_some(Failure { step, errno })
}

/// What stands between `key` and the next `"` of a line that this program wrote.
fn value<'t>(line: &'t [u8], key: &[u8]) -> Option<&'t [u8]> {
    let rest = (0..line.len()).find_map(|at| line.get(at..)?.strip_prefix(key))?;
    Some(first_part(rest, b'"'))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::{format, string::String};

    use super::*;
    use crate::{
        cli::Memory,
        device::Action,
        host::testing::{Machine, text},
        report::{
            Kind,
            testing::{add, driver, memory},
        },
    };

    const DIGEST: [u8; 16] = *b"0123456789abcdef";

    /// A device in a report.
    fn line(address: &str, outcome: &str, origin: &str) -> String {
        let driver = match origin {
            "" => String::from("null"),
            name => format!("\"{name}\""),
        };
        format!("{{\"address\":\"{address}\",\"origin\":{driver},\"outcome\":\"{outcome}\"}},\n")
    }

    /// What the first run told of a device of the memory.
    fn first_run(memory: &Memory, device: usize) -> Option<(Option<Outcome>, String)> {
        let first = memory.devices[device].first_run.as_ref()?;
        Some((first.outcome, text(&first.origin)))
    }

    #[test]
    fn finds_a_value_in_a_line() {
        for (line, key, expected) in [
            ("{\"a\":\"x\",\"b\":\"y\"}", "\"b\":\"", Some("y")),
            ("{\"a\":\"x\"}", "\"a\":\"", Some("x")),
            ("{\"a\":null}", "\"a\":\"", None),
            ("{\"a\":\"\"}", "\"a\":\"", Some("")),
            ("{\"a\":\"cut", "\"a\":\"", Some("cut")),
            ("", "\"a\":\"", None),
        ] {
            let found = value(line.as_bytes(), key.as_bytes());
            assert_eq!(found, expected.map(str::as_bytes), "{line}");
        }
    }

    #[test]
    fn takes_over_what_the_first_run_told() {
        let mut host = Machine::new();
        let report = [
            line("0000:02:00.0", "seized", "igb"),
            line("0000:03:00.0", "seized", "e1000e"),
            line("0000:04:00.0", "held", ""),
            line("0000:05:00.0", "a later word", "nvme"),
            line("no address", "seized", "igb"),
        ];
        host.file(FILE, &report.concat());
        let mut memory = memory("");
        for at in ["03:00.0", "04:00.0", "05:00.0", "06:00.0"] {
            add(&mut memory, at, None, Action::Seize);
        }
        assert_eq!(remember(&mut host, &mut memory.devices), None);
        let told = [0, 1, 2, 3].map(|device| first_run(&memory, device));
        let expected = [
            Some((Some(Outcome::Seized), "e1000e".into())),
            Some((Some(Outcome::Held), "".into())),
            Some((None, "nvme".into())),
            None,
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn knows_the_image_only_where_the_first_run_was_in_it() {
        let head = |stage: &str| {
            format!("{{\"stage\":\"{stage}\",\"config_digest\":\"0123456789abcdef\",\n")
        };
        for (report, image) in [
            (head("initramfs"), Some(Image { digest: DIGEST })),
            (head("host"), None),
            (
                "{\"stage\":\"initramfs\",\"config_digest\":\"0123\",\n".into(),
                None,
            ),
            ("".into(), None),
        ] {
            let mut host = Machine::new();
            host.file(FILE, &report);
            let mut memory = memory("");
            assert_eq!(remember(&mut host, &mut memory.devices), image, "{report}");
        }
    }

    #[test]
    fn remembers_nothing_without_a_report() {
        let mut host = Machine::new();
        let mut memory = memory("");
        add(&mut memory, "03:00.0", None, Action::Seize);
        assert!(!is_there(&mut host));
        assert_eq!(remember(&mut host, &mut memory.devices), None);
        assert_eq!(first_run(&memory, 0), None);
    }

    /// `status` is what a user looks at, and the run that failed is over then.
    #[test]
    fn remembers_what_failed_in_the_last_run() {
        let failure = |step, errno| Some(Failure { step, errno });
        for failed in [
            failure(Step::Bind, Errno::ENOSYS),
            failure(Step::Hold, Errno::STUCK),
            failure(Step::Bind, Errno(523)),
            None,
        ] {
            let mut host = Machine::new();
            let mut memory = memory("03:00.0");
            let device = add(&mut memory, "03:00.0", Some(0), Action::Seize);
            device.outcome = Outcome::Held;
            device.work.failure = failed;
            let report = memory.report(Kind::Seizure, true);
            assert_eq!(write(&mut host, &report), Ok(()));

            let device = &mut memory.devices[0];
            device.work.failure = None;
            remember(&mut host, &mut memory.devices);
            let device = &mut memory.devices[0];
            assert_eq!(device.failure(), failed);
            device.outcome = Outcome::Seized;
            assert_eq!(device.failure(), None, "of a device that is another now");
        }
    }

    /// The first run tells; a second one on the host changes nothing of what it told.
    #[test]
    fn remembers_what_it_wrote() {
        let mut host = Machine::new();
        let mut memory = memory("03:00.0\n04:00.0\n");
        let device = add(&mut memory, "03:00.0", Some(0), Action::Seize);
        device.outcome = Outcome::Unready;
        device.work.previous_driver = driver("e1000e");
        add(&mut memory, "04:00.0", Some(1), Action::Seize).outcome = Outcome::Lost;
        let first = Report {
            stage: Stage::Initramfs,
            ..memory.report(Kind::Seizure, true)
        };
        assert_eq!(write(&mut host, &first), Ok(()));
        assert!(is_there(&mut host));
        let image = remember(&mut host, &mut memory.devices);
        assert!(image.is_some());

        memory.devices[0].outcome = Outcome::Seized;
        memory.devices[0].work.previous_driver.clear();
        let second = Report {
            image,
            ..memory.report(Kind::Seizure, true)
        };
        assert_eq!(write(&mut host, &second), Ok(()));
        memory.devices[0].first_run = None;
        assert_eq!(remember(&mut host, &mut memory.devices), image);
        let told = [0, 1].map(|device| first_run(&memory, device));
        let expected = [
            Some((Some(Outcome::Unready), "e1000e".into())),
            Some((Some(Outcome::Lost), "".into())),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn replaces_the_report_in_one_step() {
        let mut host = Machine::new();
        host.file(FILE, "the old one");
        host.file("/run/pciseize/report.new", "what a run left that was ended");
        let mut memory = memory("03:00.0");
        add(&mut memory, "03:00.0", Some(0), Action::Seize);
        let report = memory.report(Kind::Seizure, true);
        assert_eq!(write(&mut host, &report), Ok(()));
        let (last, before) = host.calls.split_last().expect("calls");
        assert_eq!(last, "rename /run/pciseize/report.1 /run/pciseize/report");
        let touches_report = |call: &String| call.contains(&format!(" {FILE} "));
        assert!(!before.iter().any(touches_report), "{before:?}");
        let written = host.content(FILE).expect("a report");
        assert!(
            written.starts_with("{\"schema\":1,") && written.ends_with("}\n"),
            "{written}"
        );
    }

    #[test]
    fn leaves_the_old_report_where_a_new_one_cannot_be_written() {
        for (call, errno) in [
            ("make_folder /run/pciseize", Errno::EROFS),
            ("remove", Errno::EACCES),
            ("append", Errno::ENOSPC),
            ("rename", Errno::EIO),
        ] {
            let mut host = Machine::new();
            host.file(FILE, "the old one");
            host.refuse(call, errno);
            let memory = memory("");
            let report = memory.report(Kind::Seizure, true);
            assert_eq!(write(&mut host, &report), Err(errno), "{call}");
            assert_eq!(host.content(FILE).as_deref(), Some("the old one"), "{call}");
        }
    }
}
