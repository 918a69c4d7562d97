//! The steps of a seizure and of a release, and how one fails.

use ufmt::{Formatter, uDisplay, uWrite};

use crate::{host::Errno, show};

/// A step, as far as it concerns one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The bus is listed.
    List,
    /// Its modalias is read.
    Identify,
    /// Its override becomes the name of no driver.
    Hold,
    /// Its driver link is read.
    Driver,
    /// Its driver lets go of it.
    Unbind,
    /// Its override becomes `pciback`.
    Override,
    /// pciback takes it.
    Bind,
    /// pciback forgets its address.
    Unlist,
    /// pciback is to wait for it.
    Enlist,
    /// xl takes it out of quarantine.
    Unquarantine,
    /// Its override is cleared.
    Clear,
    /// Drivers of dom0 are asked to take it.
    Offer,
}

impl Step {
    /// Every step.
    pub const ALL: [Step; 12] = [
        Step::List,
        Step::Identify,
        Step::Hold,
        Step::Driver,
        Step::Unbind,
        Step::Override,
        Step::Bind,
        Step::Unlist,
        Step::Enlist,
        Step::Unquarantine,
        Step::Clear,
        Step::Offer,
    ];

    /// Its word in a report.
    pub const fn word(self) -> &'static str {
        match self {
            Step::List => "list",
            Step::Identify => "identify",
            Step::Hold => "hold",
            Step::Driver => "driver",
            Step::Unbind => "unbind",
            Step::Override => "override",
            Step::Bind => "bind",
            Step::Unlist => "unlist",
            Step::Enlist => "enlist",
            Step::Unquarantine => "unquarantine",
            Step::Clear => "clear",
            Step::Offer => "offer",
        }
    }

    /// The step with that word.
    pub fn from_word(word: &[u8]) -> Option<Step> {
        Step::ALL
            .iter()
            .copied()
            .find(|step| step.word().as_bytes() == word)
    }

    /// What is done in it: "binding it to pciback".
    pub const fn text(self) -> &'static str {
        match self {
            Step::List => "listing /sys/bus/pci/devices",
            Step::Identify => "reading modalias",
            Step::Hold => "writing driver_override to hold it",
            Step::Driver => "reading its driver link",
            Step::Unbind => "unbinding its driver",
            Step::Override => "writing driver_override for pciback",
            Step::Bind => "binding it to pciback",
            Step::Unlist => "taking it off pciback's list",
            Step::Enlist => "putting it on pciback's list",
            Step::Unquarantine => "asking xl to let go of it",
            Step::Clear => "clearing driver_override",
            Step::Offer => "offering it to dom0's drivers",
        }
    }

    /// A number for it, from 1, to post where other processes read it.
    pub fn to_bits(self) -> u32 {
        let place = Step::ALL.iter().position(|&step| step == self);
        place.map_or(0, |place| place as u32 + 1)
    }

    /// The step with that number. 0 is none.
    pub fn from_bits(bits: u32) -> Option<Step> {
        Step::ALL.get(bits.checked_sub(1)? as usize).copied()
    }
}

/// How a step failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which step.
    pub step: Step,
    /// The answer of the kernel.
    pub errno: Errno,
}

impl Failure {
    /// A failure as the upper 24 bits of a number to post where other processes read it; 0 for
    /// none. The lowest 8 bits are free for others.
    pub fn to_bits(failure: Option<Failure>) -> u32 {
        failure.map_or(0, |Failure { step, errno }| {
            step.to_bits() << 8 | (errno.0 as u32) << 16
        })
    }

    /// The failure in the upper 24 bits of such a number.
    pub fn from_bits(bits: u32) -> Option<Failure> {
        let step = Step::from_bits(bits >> 8 & 0xff)?;
        Some(Failure {
            step,
            errno: Errno((bits >> 16) as i32),
        })
    }
}

impl uDisplay for Failure {
    fn fmt<W: uWrite + ?Sized>(&self, f: &mut Formatter<'_, W>) -> Result<(), W::Error> {
        show!(f, "{}: {}", self.step.text(), self.errno)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comes_back_from_its_bits() {
        assert_eq!(Step::from_bits(0), None);
        assert_eq!(Step::from_bits(Step::ALL.len() as u32 + 1), None);
        for step in Step::ALL {
            assert_eq!(Step::from_bits(step.to_bits()), Some(step));
        }
    }

    #[test]
    fn comes_back_from_its_word() {
        assert_eq!(Step::from_word(b""), None);
        for step in Step::ALL {
            assert_eq!(Step::from_word(step.word().as_bytes()), Some(step));
        }
    }
}
