//! Boots real Xen in QEMU and checks what happens to the devices. Run with `make check-vm`.
//!
//! Each test is one story on the standard machine (`lab/board.rs`). The proof of who had a device
//! is the kernel's own log of every probe (`initcall_debug`). A seized device's only probe is
//! pciback's. Its twin is not listed, and shows in the same boot that the driver was there and
//! worked.

mod aarch64;
mod binds;
mod boots;
mod first_boot;
mod groups;
mod grub;
mod guest;
mod lab;
mod mkinitcpio;
mod names;
mod needs;
mod packages;
mod quiet;
mod rdinit;
mod reach;
mod replay;
mod running;
mod second_card;
mod storm;
mod strict;
mod stuck;
mod sweep;
mod sysvinit;
mod together;
mod unit;

use anyhow::{Context, Result};
use lab::board::{
    self, BEHIND_ROOT_PORT, NETWORK, NVME, PAIRS, PATH_BEHIND_ROOT_PORT, Pair, ROOT_DISK, UHCI,
    UHCI_DEVICE, USB,
};
use lab::debian::Suite;
use lab::evidence::Evidence;
use lab::image::{Generator, Image, Initramfs};
use lab::machine::Machine;
use lab::pace;
use lab::product::Product;
use lab::progress;
use lab::watch::Limits;

/// The administrator's configuration.
const FILE: &str = "/etc/xen/pciback.conf";
const DROP_IN: &str = "/etc/xen/pciback.conf.d/50-more.conf";

/// Saves the module's parameter `passthrough`: `Y` or `N`.
const KEEP_PASSTHROUGH: &str = "cat /sys/module/xen_pciback/parameters/passthrough >passthrough";

/// The control: in a stock dom0 its own drivers claim every device, listed or not. Without this
/// test, the others prove nothing.
#[test]
fn stock_dom0_claims_every_device() -> Result<()> {
    let image = Image::stock(Generator::InitramfsTools).build()?;
    let seen = Machine::dom0(&image).boot("stock")?;
    assert_nothing_touched(&seen);
    for pair in PAIRS {
        let [listed, twin] = [pair.listed, pair.twin].map(|address| seen.function(address));
        assert_eq!(
            (&listed.ids, &listed.class),
            (&twin.ids, &twin.class),
            "{}: twins are of one model",
            pair.model
        );
    }
    Ok(())
}

/// Items by path, by class with a keep, and by identity at a place: the named devices are seized,
/// and no others.
#[test]
fn path_class_and_identity_take_what_they_name() -> Result<()> {
    let [e1000e, nvme] = ["8086:10d3", "1b36:0010"];
    let items = [
        PATH_BEHIND_ROOT_PORT.to_owned(),
        format!("!{}", USB.twin),
        "class:usb".to_owned(),
        format!("{e1000e}@{}", NETWORK.listed),
        format!("{nvme}@{}", NVME.listed),
        // Another device is at this address, and must not be seized in its place.
        format!("{e1000e}@{}", NVME.twin),
    ];
    let image = Image::with(Generator::InitramfsTools, &Product::install()?)
        .file(FILE, &items.join("\n"))
        .build()?;
    let seen = Machine::dom0(&image)
        .device(UHCI_DEVICE)
        .boot("selectors")?;

    // This also checks that devices with the class or identity of a listed one keep their drivers.
    assert_listed_seized(&seen)?;
    assert_eq!(
        seen.driver(UHCI),
        Some("pciback"),
        "all of the class except the kept devices:\n{}",
        seen.pciseize_log()
    );
    assert_eq!(
        seen.probes(UHCI).len(),
        1,
        "only pciback probes the device: {:?}",
        seen.probes(UHCI)
    );
    let selectors = [
        (BEHIND_ROOT_PORT.listed, items[0].as_str()),
        (USB.listed, "class:usb"),
        (UHCI, "class:usb"),
        (NETWORK.listed, &items[3]),
        (NVME.listed, &items[4]),
    ];
    for (address, selector) in selectors {
        assert_eq!(seen.reported(address)?["selector"], selector, "{address}");
    }
    assert_eq!(seen.reported(USB.twin)?["outcome"], "kept");
    assert_eq!(seen.reported(NVME.twin)?["outcome"], "mismatch");
    assert!(
        seen.logged(&[NVME.twin, "mismatch"]),
        "{}",
        seen.pciseize_log()
    );
    Ok(())
}

/// The kernel's own parameter on the command line has the meaning that its users know. modprobe.d
/// has a value that the module refuses: the program reports the value, and no device is lost.
#[test]
fn the_kernels_own_parameter_names_devices_and_a_refused_one_costs_none() -> Result<()> {
    let refused = "passthrough=maybe";
    let image = Image::with(Generator::InitramfsTools, &Product::install()?)
        .file(
            "/usr/lib/modprobe.d/pciback.conf",
            &format!("options xen-pciback {refused}\n"),
        )
        .build()?;
    // Behind root ports, and in the NVMe pair, each function has a slot of its own; the last one
    // also has a bus of its own.
    let hide = format!(
        "xen-pciback.hide=({})(01:00.*) xen_pciback.hide=(00:0a.*),({})",
        NETWORK.listed, USB.listed
    );
    let seen = Machine::dom0(&image)
        .cmdline(&hide)
        .script(KEEP_PASSTHROUGH)
        .boot("kernel-parameter")?;

    assert_listed_seized(&seen)?;
    for (pair, selector) in [
        (NETWORK, NETWORK.listed),
        (BEHIND_ROOT_PORT, "0000:01:00.*"),
        (USB, USB.listed),
        (NVME, "0000:00:0a.*"),
    ] {
        let reported = seen.reported(pair.listed)?;
        assert_eq!(
            (&reported["selector"], &reported["source"]),
            (&selector.into(), &"/proc/cmdline".into()),
            "{}",
            pair.model
        );
    }
    assert!(
        seen.kernel_log("`maybe' invalid for parameter `passthrough'")
            .next()
            .is_some(),
        "the module was not offered it"
    );
    assert!(seen.logged(&[refused]), "{}", seen.pciseize_log());
    assert_eq!(seen.file("passthrough"), Some("N\n"));
    Ok(())
}

/// dracut: devices are named in modprobe.d, and in the files that dracut adds to the command line.
/// The module gets its parameters, and warns of an unknown one.
#[test]
fn dracut_carries_modprobe_d_and_its_own_command_line() -> Result<()> {
    let [modprobe_d, cmdline_d, dracut_conf] = [
        "/etc/modprobe.d/pciback.conf",
        "/etc/cmdline.d/50-devices.conf",
        "/etc/dracut.conf.d/devices.conf",
    ];
    let image = Image::with(Generator::Dracut, &Product::install()?)
        .file(
            modprobe_d,
            &format!(
                "options xen-pciback hide=({})({}) passthrough=1 nonsense=1\n",
                NETWORK.listed, BEHIND_ROOT_PORT.listed
            ),
        )
        .file(cmdline_d, &format!("pciseize.hide={}\n", USB.listed))
        .file(
            dracut_conf,
            &format!(
                "install_items+=\" {cmdline_d} \"\nkernel_cmdline=\"pciseize.hide={}\"\n",
                NVME.listed
            ),
        )
        .build()?;
    let seen = Machine::dom0(&image)
        .script(KEEP_PASSTHROUGH)
        .boot("dracut-sources")?;

    assert_listed_seized(&seen)?;
    for (pair, source) in [
        (NETWORK, modprobe_d),
        (BEHIND_ROOT_PORT, modprobe_d),
        (USB, cmdline_d),
        (NVME, "/etc/cmdline.d/01-default.conf"),
    ] {
        assert_eq!(
            seen.reported(pair.listed)?["source"],
            source,
            "{}",
            pair.model
        );
    }
    assert_eq!(seen.file("passthrough"), Some("Y\n"));
    assert_eq!(
        seen.kernel_log("xen_pciback: unknown parameter 'nonsense' ignored")
            .count(),
        1
    );
    assert!(
        seen.logged(&["nonsense=1", "does not show"]),
        "{}",
        seen.pciseize_log()
    );
    Ok(())
}

/// The kernel drops lines that arrive too fast through one open /dev/kmsg, yet each of 32 items
/// must be logged. The image is without systemd, which lifts that limit. Four items are embedded in
/// the binary, the others are on the command line.
#[test]
fn each_of_32_items_has_its_line_in_the_kernel_log() -> Result<()> {
    let absent: Vec<String> = (0..28)
        .map(|number| format!("0000:{:02x}:{:02x}.0", 0x40 + number / 8, number % 8))
        .collect();
    assert_eq!(PAIRS.len() + absent.len(), 32);

    let product = Product::install_with_embedded(&board::configuration())?;
    let image = Image::with(Generator::DracutWithoutSystemd, &product).build()?;
    let seen = Machine::dom0(&image)
        .cmdline(&format!("pciseize.hide={}", absent.join(",")))
        .boot("32-items")?;
    assert_listed_seized(&seen)?;
    for address in &absent {
        assert!(
            seen.logged(&[address, "absent"]),
            "{address}:\n{}",
            seen.pciseize_log()
        );
        assert_eq!(seen.reported(address)?["outcome"], "absent");
    }
    assert_eq!(
        seen.kernel_log("suppressed due to ratelimiting").next(),
        None
    );
    Ok(())
}

/// On the running host: devices with drivers are added to the file, and `seize` takes them. A
/// second run changes nothing.
#[test]
fn seize_on_the_running_host_takes_bound_devices_once() -> Result<()> {
    let twins = PAIRS.map(|pair| format!("{}\n", pair.twin)).concat();
    let image = Image::stock(Generator::InitramfsTools).build()?;
    let seen = Machine::dom0(&image)
        .installed(&Product::install()?)
        .file(FILE, &twins)
        .script(
            "pciseize seize >first.output 2>&1; echo $? >first.status
             pciseize seize >second.output 2>&1; echo $? >second.status",
        )
        .boot("running-host")?;

    let file = |name: &str| {
        seen.file(name)
            .with_context(|| format!("the script wrote no {name}"))
    };
    assert_eq!(file("first.status")?, "0\n", "{}", file("first.output")?);
    assert_eq!(file("second.status")?, "0\n", "{}", file("second.output")?);
    for pair in PAIRS {
        let (address, model) = (pair.twin, pair.model);
        assert_eq!(
            seen.driver(address),
            Some("pciback"),
            "{model}: {}",
            file("first.output")?
        );
        assert_eq!(
            seen.successful_probes(address).len(),
            2,
            "{model}: first its own driver, then pciback, and no more"
        );
        assert_eq!(seen.reported(address)?["outcome"], "seized", "{model}");
        assert_eq!(seen.reported(address)?["origin"], pair.driver, "{model}");
        assert_eq!(
            seen.driver(pair.listed),
            Some(pair.driver),
            "{model}: not in the file of this host"
        );
    }
    assert_eq!(seen.driver(ROOT_DISK.0), Some(ROOT_DISK.1));
    Ok(())
}

/// The image with pciseize on a machine without Xen: no device is touched, and the log says why.
#[test]
fn without_xen_nothing_is_touched() -> Result<()> {
    let image = listing_image(Generator::InitramfsTools, Suite::Bookworm)?;
    let seen = Machine::bare(&image).boot("without-xen")?;
    assert_nothing_touched(&seen);
    assert!(seen.logged(&["not a Xen dom0"]), "{}", seen.pciseize_log());
    Ok(())
}

/// Bad items and an absent device: the machine boots, the log names each with its place, and the
/// good items count.
#[test]
fn bad_items_are_named_and_cost_no_good_one() -> Result<()> {
    let image = bad_image(Generator::InitramfsTools)?;
    let listed = format!(
        "pciseize.hide={},0000:zz:00.0,{}",
        PAIRS[2].listed, PAIRS[3].listed
    );
    let seen = Machine::dom0(&image).cmdline(&listed).boot("bad-items")?;

    assert_listed_seized(&seen)?;
    let column = seen
        .file("cmdline")
        .and_then(|line| line.find("0000:zz"))
        .context("the item is not on the command line")?
        + 1;
    let on_the_command_line = (format!("/proc/cmdline:1:{column}: "), "0000:zz:00.0");
    let places: Vec<_> = bad_places()
        .into_iter()
        .chain([on_the_command_line])
        .collect();
    for (place, text) in &places {
        assert!(
            seen.logged(&[place, text]),
            "{place}{text}:\n{}",
            seen.pciseize_log()
        );
    }
    assert_eq!(
        seen.report()?["problems"].as_array().map(Vec::len),
        Some(places.len()),
        "{:#}",
        seen.report()?
    );
    assert!(
        seen.logged(&["0000:00:1e.0", "absent"]),
        "{}",
        seen.pciseize_log()
    );
    Ok(())
}

/// Both hooks print the bad items when the image is made, each on its own line, and print nothing
/// else. The image is made all the same.
#[test]
fn bad_items_are_named_when_the_image_is_made() -> Result<()> {
    for (generator, prefix) in [
        (Generator::InitramfsTools, "W: pciseize: "),
        (Generator::Dracut, "dracut: pciseize: "),
    ] {
        let image = bad_image(generator)?;
        let said = said_by_the_hook(&image);
        assert_eq!(said.len(), bad_places().len(), "{}", image.build_log);
        for (line, (place, text)) in said.iter().zip(bad_places()) {
            assert!(
                line.starts_with(&format!("{prefix}{place}")) && line.contains(text),
                "{place}{text}:\n{line}"
            );
        }
    }
    Ok(())
}

/// An initramfs-tools image without xen-pciback: the hook says so, the machine boots, and no driver
/// gets the listed devices. When the module is loaded later, it takes them at once, and the next
/// run finds them seized.
#[test]
fn initramfs_tools_without_the_module_holds_the_devices_until_it_comes() -> Result<()> {
    let image = image_without_module(Generator::InitramfsTools)?;
    let seen = Machine::dom0(&image)
        .installed(&Product::install()?)
        .file(FILE, &board::configuration())
        .script(
            "echo 'lab: the module comes' >/dev/kmsg
             modprobe xen-pciback
             pciseize seize >seize.output 2>&1; echo $? >seize.status",
        )
        .boot("initramfs-tools-module-later")?;

    let comes = seen
        .time_of("lab: the module comes")
        .context("the script did not run")?;
    assert_eq!(
        seen.file("seize.status"),
        Some("0\n"),
        "{:?}",
        seen.file("seize.output")
    );
    for pair in PAIRS {
        let (address, model) = (pair.listed, pair.model);
        assert_eq!(
            seen.driver(address),
            Some("pciback"),
            "{model}: {:?}",
            seen.file("seize.output")
        );
        let probes = seen.probes(address);
        assert!(
            probes.len() == 1 && probes[0].at > comes,
            "{model}: only pciback probes it, when its module is loaded: {probes:?}"
        );
        let reported = seen.reported(address)?;
        assert_eq!(
            (&reported["outcome"], &reported["latest"]),
            (&"held".into(), &"seized".into()),
            "{model}"
        );
        assert_claimed(&seen, pair.twin, pair.driver);
    }
    Ok(())
}

/// The same with dracut, and the control: without the module the devices stay held.
#[test]
fn dracut_without_the_module_holds_the_devices() -> Result<()> {
    let image = image_without_module(Generator::Dracut)?;
    let seen = Machine::dom0(&image).boot("dracut-without-module")?;
    for pair in PAIRS {
        let (address, model) = (pair.listed, pair.model);
        assert_eq!(seen.driver(address), None, "{model}");
        assert_eq!(
            seen.probes(address).len(),
            0,
            "{model}: {:?}",
            seen.probes(address)
        );
        assert_eq!(
            seen.function(address).driver_override.as_deref(),
            Some("pciback"),
            "{model}: a later modprobe seizes it"
        );
        assert!(
            seen.logged(&[address, "held"]),
            "{model}:\n{}",
            seen.pciseize_log()
        );
        assert_eq!(seen.reported(address)?["outcome"], "held", "{model}");
        assert_claimed(&seen, pair.twin, pair.driver);
    }
    assert_claimed(&seen, ROOT_DISK.0, ROOT_DISK.1);
    Ok(())
}

/// The laboratory itself: a boot that crashes is an error, with the last lines of its console.
#[test]
fn a_crash_is_an_error_that_shows_the_console() -> Result<()> {
    let image = Image::stock(Generator::InitramfsTools).build()?;
    let error = Machine::dom0(&image)
        .cmdline("rdinit=/no/such/program root=")
        .boot("crash")
        .err()
        .context("no error")?;
    assert!(format!("{error:#}").contains("Kernel panic"), "{error:#}");
    Ok(())
}

/// The laboratory itself: a boot that lasts too long is ended, and is such an error too. This one
/// never ends by itself, so the speed of this host does not matter.
#[test]
fn a_boot_that_lasts_too_long_is_an_error_that_shows_the_console() -> Result<()> {
    let image = Image::stock(Generator::InitramfsTools).build()?;
    let stock = pace::stock_boot()?;
    let limits = Limits {
        still: stock,
        most: stock,
    };
    let error = Machine::dom0(&image)
        .script("exec sleep 1000000")
        .limits(limits)
        .boot("too-long")
        .err()
        .context("no error")?;
    assert!(
        format!("{error:#}").contains("was still running after"),
        "{error:#}"
    );
    assert!(
        format!("{error:#}").lines().count() > 10,
        "no console: {error:#}"
    );
    Ok(())
}

/// The laboratory itself: a machine with a silent console runs on while it reads from a disk, and
/// is ended once it does nothing.
#[test]
fn a_machine_that_stands_still_is_ended_and_one_that_reads_is_not() -> Result<()> {
    let image = Image::stock(Generator::InitramfsTools).build()?;
    let stock = pace::stock_boot()?;
    // A second of the guest is at least as long as one of the limits.
    let script = format!(
        r#"
        exec >/dev/console
        for block in /sys/block/sd*; do
            read -r model <"$block/device/model"
            if [ "$model" = root ]; then
                disk=/dev/${{block##*/}}
            fi
        done
        number=0
        while [ "$number" -lt {} ]; do
            number=$((number + 1))
            dd if="$disk" of=/dev/null bs=512 count=1 skip="$number" iflag=direct 2>dd.log
            sleep 1
        done
        echo "lab: has read"
        printf "lab: stands"
        exec sleep 1000000"#,
        stock.as_secs() * 3 / 2
    );
    let machine = Machine::dom0(&image).script(&script);
    let limits = Limits {
        still: stock,
        ..pace::limits(1)?
    };
    let error = machine
        .limits(limits)
        .boot("still")
        .err()
        .context("no error")?;
    let told = format!("{error:#}");
    assert!(
        told.contains("stood still") && told.contains("lab: has read"),
        "{told}"
    );
    assert!(
        told.contains("\nlab: stands\n"),
        "an open line is shown too: {told}"
    );
    Ok(())
}

/// An image with pciseize. A file and a drop-in list one device of each pair.
fn listing_image(generator: Generator, suite: Suite) -> Result<Initramfs> {
    let (file, drop_in) = PAIRS.split_at(2);
    let image = Image::with(generator, &Product::install()?)
        .on(suite)
        .file(FILE, &board::lines(file))
        .file(DROP_IN, &board::lines(drop_in))
        .build()?;
    assert!(
        said_by_the_hook(&image).is_empty(),
        "nothing is wrong:\n{}",
        image.build_log
    );
    Ok(image)
}

/// An image with pciseize. The file lists one device of the first two pairs, an absent one, and bad
/// items.
fn bad_image(generator: Generator) -> Result<Initramfs> {
    let text = format!(
        "# devices for guests\n{}\n0000:82.0.0\n  00:09.9 # no such function\n0000:00:1e.0\n\
         nonsense\n{}\n",
        PAIRS[0].listed, PAIRS[1].listed
    );
    Image::with(generator, &Product::install()?)
        .file(FILE, &text)
        .build()
}

/// The places of the bad items in that image, and their text.
fn bad_places() -> [(String, &'static str); 3] {
    [
        (format!("{FILE}:3:1: "), "0000:82.0.0"),
        (format!("{FILE}:4:3: "), "00:09.9"),
        (format!("{FILE}:6:1: "), "nonsense"),
    ]
}

/// The output of the hook of pciseize when the image was made.
fn said_by_the_hook(image: &Initramfs) -> Vec<&str> {
    // The root of the folder in which an image is made is an overlay, whose disk the hook does not
    // find. `needs.rs` tests what it says of that.
    image
        .build_log
        .lines()
        .filter(|line| line.contains("pciseize: ") && !line.contains("/proc/self/mountinfo"))
        .collect()
}

/// Every device has dom0's driver from its first probe on, and pciback has none.
fn assert_nothing_touched(seen: &Evidence) {
    let seized: Vec<_> = seen
        .functions()
        .iter()
        .filter(|function| function.driver.as_deref() == Some("pciback"))
        .collect();
    assert!(seized.is_empty(), "{seized:?}");
    for pair in PAIRS {
        for address in [pair.listed, pair.twin] {
            assert_claimed(seen, address, pair.driver);
        }
    }
    assert_claimed(seen, ROOT_DISK.0, ROOT_DISK.1);
}

/// One device of each pair was only ever with pciback. Its twin and the root disk have their own
/// drivers.
fn assert_listed_seized(seen: &Evidence) -> Result<()> {
    for pair in &PAIRS {
        assert_one_seized(seen, pair)?;
    }
    assert_claimed(seen, ROOT_DISK.0, ROOT_DISK.1);
    Ok(())
}

/// The listed device of this pair was only ever with pciback. Its twin has its own driver.
fn assert_one_seized(seen: &Evidence, pair: &Pair) -> Result<()> {
    let (address, model) = (pair.listed, pair.model);
    assert_eq!(
        seen.driver(address),
        Some("pciback"),
        "{model}:\n{}",
        seen.pciseize_log()
    );
    let probes = seen.probes(address);
    assert_eq!(
        probes.len(),
        1,
        "{model}: only pciback probes the device: {probes:?}"
    );
    assert_eq!(probes[0].result, 0, "{model}");
    let twins_probe = seen.successful_probes(pair.twin);
    assert!(
        probes[0].at < twins_probe[0].at,
        "{model}: seized after its driver had come: {probes:?}, twin {twins_probe:?}"
    );
    assert!(
        seen.logged(&[address, "seized"]),
        "{model}:\n{}",
        seen.pciseize_log()
    );
    assert_eq!(seen.reported(address)?["outcome"], "seized", "{model}");
    assert_eq!(seen.reported(address)?["driver"], "pciback", "{model}");
    assert_claimed(seen, pair.twin, pair.driver);
    Ok(())
}

/// The device has this driver, and no other ever had the device.
fn assert_claimed(seen: &Evidence, address: &str, driver: &str) {
    assert_eq!(seen.driver(address), Some(driver), "{address}");
    assert_eq!(
        seen.successful_probes(address).len(),
        1,
        "{address}: {:?}",
        seen.probes(address)
    );
    assert_eq!(seen.function(address).driver_override, None, "{address}");
}

/// An image without xen-pciback. The file lists one device of each pair, and the hook reports the
/// missing module.
fn image_without_module(generator: Generator) -> Result<Initramfs> {
    let image = Image::with(generator, &Product::install()?)
        .file(FILE, &board::configuration())
        .without_pciback()
        .build()?;
    let said = said_by_the_hook(&image);
    assert!(
        said.len() == 1 && said[0].contains("has no xen-pciback"),
        "{}",
        image.build_log
    );
    Ok(image)
}

/// Prints when the first device was seized and when dom0's drivers came.
fn tell_times(seen: &Evidence) {
    let time = |pattern: &str| {
        seen.seconds_to(pattern)
            .map_or("never".to_owned(), |seconds| format!("{seconds:.1} s"))
    };
    progress::say(&format!(
        "  from QEMU's start: first device seized {}, first dom0 network driver {}, \
         first USB driver {}, end {:.1} s",
        time("pciseize: .* seized"),
        time(&format!("probe of {} returned 0", NETWORK.twin)),
        time(&format!("probe of {} returned 0", USB.twin)),
        seen.seconds()
    ));
}
