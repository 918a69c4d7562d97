//! The switches of a run.

use super::syntax::setting::Setting;

/// The switches. A later source wins over an earlier one; within a source the last setting wins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switches {
    /// Do nothing at all in this boot.
    pub off: bool,
    /// `seize` exits with status 3 unless everything is as asked.
    pub strict: bool,
    /// Log when all devices are held too, before anything slow begins.
    pub debug: bool,
    /// Seize devices in use too.
    pub force: bool,
    /// How long one step of the kernel's may take, in seconds. `None`: no source says.
    pub timeout: Option<u32>,
}

impl Switches {
    /// No switch is set.
    pub const fn new() -> Switches {
        Switches {
            off: false,
            strict: false,
            debug: false,
            force: false,
            timeout: None,
        }
    }

    /// Sets one switch.
    pub const fn set(&mut self, setting: Setting) {
        match setting {
            Setting::Off(on) => self.off = on,
            Setting::Strict(on) => self.strict = on,
            Setting::Debug(on) => self.debug = on,
            Setting::Force(on) => self.force = on,
            Setting::Timeout(seconds) => self.timeout = Some(seconds),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_setting_wins() {
        let mut switches = Switches::new();
        for setting in [
            Setting::Strict(true),
            Setting::Timeout(3),
            Setting::Off(true),
            Setting::Off(false),
            Setting::Timeout(5),
        ] {
            switches.set(setting);
        }
        let expected = Switches {
            strict: true,
            timeout: Some(5),
            ..Switches::new()
        };
        assert_eq!(switches, expected);
    }
}
