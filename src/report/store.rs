//! The report that is kept: `/run/pciseize/report`. `/run` moves to the real root, so that what the
//! initramfs wrote is there afterwards.

use super::{Report, json};
use crate::{
    device::{Devices, FirstRun, Outcome},
    host::{Errno, Files, lines},
    pci::{Address, bus::DriverName},
    text::first_part,
};

/// The folder of the report.
const FOLDER: &[u8] = b"/run/pciseize";

/// The report.
pub const FILE: &str = "/run/pciseize/report";

/// The report while it is written.
const UNFINISHED: &[u8] = b"/run/pciseize/report.new";

/// Most bytes of a report that are read: 8,192 devices with 512 bytes each. What is beyond is not
/// remembered.
const REPORT_SIZE: u64 = 4 << 20;

/// Writes the report, replacing an earlier one in one step: whoever reads sees a whole one.
///
/// # Errors
/// The kernel's.
pub fn write<H: Files>(host: &mut H, report: &Report) -> Result<(), Errno> {
    host.make_folder(b"/run")?;
    host.make_folder(FOLDER)?;
    match host.remove(UNFINISHED) {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(errno) => return Err(errno),
    }
    json::write(report, &mut |bytes| host.append(UNFINISHED, bytes))?;
    host.rename(UNFINISHED, FILE.as_bytes())
}

/// Whether there is a report.
pub fn is_there<H: Files>(host: &mut H) -> bool {
    host.read(FILE.as_bytes(), 0, &mut [0]).is_ok()
}

/// What the image of this boot was configured with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image {
    /// The digest of its configuration, as it was shown.
    pub digest: [u8; 16],
}

/// Takes over from an earlier report of this boot what only the first run can know: the first
/// outcome of each device, and the driver that it was taken from. What is no longer asked for is
/// forgotten.
///
/// Gives back what the image was configured with, if `seize` first ran there.
pub fn remember<H: Files>(host: &mut H, devices: &mut Devices) -> Option<Image> {
    let (mut at, mut image) = (0, None);
    // Where there is none, there is nothing to remember.
    let _ = lines::each(host, FILE.as_bytes(), REPORT_SIZE, &mut |_, line| {
        const DIGEST: &[u8] = b"\"stage\":\"initramfs\",\"config_digest\":\"";
        if let Some(digest) = value(line.text, DIGEST).and_then(|text| text.first_chunk()) {
            image = Some(Image { digest: *digest });
        }
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
        let mut origin = DriverName::new();
        let _ = origin.extend_from_slice(value(line.text, b"\"origin\":\"").unwrap_or_default());
        device.first_run = Some(FirstRun { outcome, origin });
    });
    image
}

/// What stands between `key` and the next `"` of a line that this program wrote.
fn value<'t>(line: &'t [u8], key: &[u8]) -> Option<&'t [u8]> {
    let rest = (0..line.len()).find_map(|at| line.get(at..)?.strip_prefix(key))?;
    Some(first_part(rest, b'"'))
}
