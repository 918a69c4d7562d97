//! The report that is kept: `/run/pciseize/report`. `/run` moves to the real root, so that what the initramfs wrote is there afterwards.

use super::{Report, json};
use crate::{
    device::{Devices, Outcome},
    host::{Errno, Host},
    lines,
    pci::Address,
    text::{behind, first_part},
};

/// The folder of the report.
const FOLDER: &[u8] = b"/run/pciseize";

/// The report.
pub const FILE: &str = "/run/pciseize/report";

/// The report while it is written.
const UNFINISHED: &[u8] = b"/run/pciseize/report.new";

/// Most bytes of a report that are read: 8,192 devices with 512 bytes each. What is beyond is not remembered.
const REPORT_SIZE: u64 = 4 << 20;

/// Writes the report, replacing an earlier one in one step: whoever reads sees a whole one.
///
/// # Errors
/// The kernel's.
#[inline(never)]
pub fn write<H: Host>(host: &mut H, report: &Report) -> Result<(), Errno> {
    host.make_folder(b"/run")?;
    host.make_folder(FOLDER)?;
    match host.remove(UNFINISHED) {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(errno) => return Err(errno),
    }
    json::write(host, Some(UNFINISHED), report)?;
    host.rename(UNFINISHED, FILE.as_bytes())
}

/// Whether there is a report.
pub fn is_there<H: Host>(host: &mut H) -> bool {
    host.read(FILE.as_bytes(), 0, &mut [0]).is_ok()
}

/// What the image of this boot was configured with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image {
    /// The digest of its configuration, as it was shown.
    pub digest: [u8; 16],
}

/// Takes over from an earlier report of this boot what only the first run can know: the first outcome of each device, and the driver that it was taken from. What is no longer
/// asked for is forgotten. Gives back what the image was configured with, if it was there that `seize` first ran.
pub fn remember<H: Host>(host: &mut H, devices: &mut Devices) -> Option<Image> {
    let (mut at, mut image) = (0, None);
    // Where there is none, there is nothing to remember.
    let _ = lines::each(host, FILE.as_bytes(), REPORT_SIZE, &mut |_, _, line, _| {
        if let Some(digest) = value(line, b"\"stage\":\"initramfs\",\"config_digest\":\"").and_then(|text| text.first_chunk()) {
            image = Some(Image { digest: *digest });
        }
        let Some(address) = value(line, b"\"address\":\"").and_then(|text| Address::parse(text).ok()) else { return };
        // Both are in order.
        while devices.get(at).is_some_and(|device| device.address.bits() < address.bits()) {
            at += 1;
        }
        let Some(device) = devices.get_mut(at).filter(|device| device.address == address) else { return };
        device.first_outcome = value(line, b"\"outcome\":\"").and_then(Outcome::from_word);
        if let Some(origin) = value(line, b"\"origin\":\"") {
            device.origin.clear();
            let _ = device.origin.extend_from_slice(origin);
        }
    });
    image
}

/// What stands between `key` and the next `"` of a line that this program wrote.
fn value<'t>(line: &'t [u8], key: &[u8]) -> Option<&'t [u8]> {
    let rest = (0..line.len()).find_map(|at| behind(key, line.get(at..)?))?;
    Some(first_part(rest, b'"'))
}
