//! Boots of Debian 12 in which more happens before the real root is there: on two processors,
//! behind a splash screen, from disks that stand on others.

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use super::platform;
use crate::lab::board::{
    self, IDLE_AHCI, IDLE_AHCI_DEVICE, KEYBOARD, KEYBOARD_DEVICES, NETWORK, NETWORK_DEVICE,
    NETWORK_TWIN, PAIRS, ROOT_DISK, ROOT_ON_AHCI, ROOT_ON_NVME, SCREEN_DEVICE, USB,
};
use crate::lab::debian::Suite;
use crate::lab::evidence::Evidence;
use crate::lab::image::{Generator, Image, Initramfs};
use crate::lab::layout::{self, Layout};
use crate::lab::machine::{End, Machine};
use crate::lab::pace;
use crate::lab::product::Product;
use crate::lab::watch::Limits;
use crate::needs::{BOOT, hook};
use crate::{FILE, assert_claimed, assert_listed_seized, assert_one_seized, listing_image};

#[test]
#[ignore = "make check-reach"]
fn smp_initramfs_tools() -> Result<()> {
    platform("smp-initramfs-tools", || smp(Generator::InitramfsTools))
}

#[test]
#[ignore = "make check-reach"]
fn smp_dracut() -> Result<()> {
    platform("smp-dracut", || smp(Generator::Dracut))
}

/// Two processors load drivers side by side. No driver of dom0 gets a listed device; the twins,
/// which are the control, have theirs.
fn smp(generator: Generator) -> Result<String> {
    let image = listing_image(generator, Suite::Bookworm)?;
    let seen = Machine::dom0(&image)
        .processors(2)
        .script("nproc >processors")
        .boot(&format!("reach-smp-{}", generator.name()))?;
    ensure!(
        seen.file("processors") == Some("2\n"),
        "dom0 has these processors: {:?}",
        seen.file("processors")
    );
    assert_listed_seized(&seen)?;
    Ok(format!(
        "{0} of {0} seized; the unlisted twins and the root disk have their drivers",
        PAIRS.len()
    ))
}

#[test]
#[ignore = "make check-reach"]
fn btrfs_on_two_disks_initramfs_tools() -> Result<()> {
    platform("btrfs-on-two-disks-initramfs-tools", || {
        on_two_disks(Layout::Btrfs, Generator::InitramfsTools)
    })
}

#[test]
#[ignore = "make check-reach"]
fn btrfs_on_two_disks_dracut() -> Result<()> {
    platform("btrfs-on-two-disks-dracut", || {
        on_two_disks(Layout::Btrfs, Generator::Dracut)
    })
}

/// The quickest of these: `make check` has time for it.
#[test]
fn lvm_on_raid1_initramfs_tools() -> Result<()> {
    platform("lvm-on-raid1-initramfs-tools", || {
        on_two_disks(Layout::LvmOnRaid1, Generator::InitramfsTools)
    })
}

#[test]
#[ignore = "make check-reach"]
fn lvm_on_raid1_dracut() -> Result<()> {
    platform("lvm-on-raid1-dracut", || {
        on_two_disks(Layout::LvmOnRaid1, Generator::Dracut)
    })
}

/// What `pciseize list --boot` has to print where these hold the root file system.
fn boot_file(roots: &[(&str, &str)]) -> String {
    let line = |(address, driver): &(&str, &str)| {
        let ids = if *driver == "ahci" {
            "8086:2922"
        } else {
            "1b36:0010"
        };
        format!("{ids}@{address} # holds /\n")
    };
    roots.iter().map(line).collect()
}

/// An image of a host that boots from what `boot` names.
///
/// The host's own image would name that itself; this one is made on another machine. So the file is
/// put into it, and the real root shows that the host would have written the same.
fn image(image: Image, generator: Generator, configuration: &str, boot: &str) -> Result<Initramfs> {
    let image = image.file(FILE, configuration);
    let image = match generator {
        Generator::InitramfsTools => image.file(
            "/usr/share/initramfs-tools/hooks/pciseize-of-the-host",
            &hook(&[(BOOT, boot)]),
        ),
        _ => image.file(BOOT, boot).file(
            "/etc/dracut.conf.d/of-the-host.conf",
            &format!("install_items+=\" {BOOT} \"\n"),
        ),
    };
    let image = image.build()?;
    ensure!(image.has("pciback.boot"), "{}", image.build_log);
    Ok(image)
}

/// An image, still to be made, of a host with this layout.
fn image_with(layout: Layout, generator: Generator) -> Result<Image> {
    let image = Image::with(generator, &Product::install()?).with_packages(&layout::PACKAGES);
    Ok(match layout.crypttab() {
        Some(text) => image.file("/etc/crypttab", &text),
        None => image,
    })
}

/// One device of each pair, everything that the host boots from, and an idle controller of SATA.
fn configuration(roots: &[(&str, &str)]) -> String {
    let roots = roots.iter().map(|(address, _)| format!("{address}\n"));
    let roots: String = roots.collect();
    format!("{}{roots}{IDLE_AHCI}\n", board::configuration())
}

/// What the host says of its controllers once it runs.
const TELL: &str = "
pciseize list --boot >boot; echo $? >boot.status
pciseize plan >plan
cat /proc/self/mountinfo >mountinfo
";

/// Checks that the host tells what it boots from as the image was told. Gives back its plan.
fn traced<'s>(seen: &'s Evidence, boot: &str) -> Result<&'s str> {
    let file = |name: &str| {
        seen.file(name)
            .with_context(|| format!("the script wrote no {name}"))
    };
    let said = (file("boot")?, file("boot.status")?);
    ensure!(said == (boot, "0\n"), "{said:?}\n{}", file("mountinfo")?);
    file("plan")
}

/// The boot was asked for the device and refused it: no other driver than its own ever had it.
fn assert_left(seen: &Evidence, address: &str, driver: &str) -> Result<()> {
    assert_claimed(seen, address, driver);
    let reported = seen.reported(address)?;
    ensure!(reported["outcome"] == "refused", "{reported}");
    ensure!(
        seen.logged(&[address, "refused"]),
        "{}",
        seen.pciseize_log()
    );
    Ok(())
}

/// No other driver than pciback ever had the device.
fn assert_seized_alone(seen: &Evidence, address: &str) -> Result<()> {
    ensure!(
        seen.driver(address) == Some("pciback") && seen.probes(address).len() == 1,
        "{address}: {:?}\n{}",
        seen.probes(address),
        seen.pciseize_log()
    );
    Ok(())
}

/// The root is on two disks with a controller each. Both stay with dom0 though both are asked for,
/// and everything else that is asked for is seized: an idle controller of the first kind, a disk of
/// the second. That is the control, and so are the unlisted twins.
fn on_two_disks(layout: Layout, generator: Generator) -> Result<String> {
    let roots = [ROOT_ON_AHCI, ROOT_ON_NVME];
    let configuration = configuration(&roots);
    let boot = boot_file(&roots);
    let image = image(
        image_with(layout, generator)?,
        generator,
        &configuration,
        &boot,
    )?;
    let machine = Machine::dom0(&image)
        .device(IDLE_AHCI_DEVICE)
        .installed(&Product::install()?)
        .file(FILE, &configuration)
        .script(TELL);
    let name = format!("reach-{}-{}", layout.name(), generator.name());
    let seen = layout.under(machine)?.work(2).boot(&name)?;

    let plan = traced(&seen, &boot)?;
    ensure!(plan.matches("it holds /").count() == roots.len(), "{plan}");
    for (address, driver) in roots {
        assert_left(&seen, address, driver)?;
    }
    assert_listed_seized(&seen)?;
    assert_seized_alone(&seen, IDLE_AHCI)?;
    Ok(format!(
        "both controllers of / traced and refused, {0} of {0} others seized, among them an idle \
         one of each kind",
        PAIRS.len() + 1
    ))
}

#[test]
#[ignore = "make check-reach"]
fn luks_initramfs_tools() -> Result<()> {
    platform("luks-initramfs-tools", || {
        luks(Generator::InitramfsTools, "Please unlock disk crypt")
    })
}

#[test]
#[ignore = "make check-reach"]
fn luks_dracut() -> Result<()> {
    platform("luks-dracut", || {
        luks(Generator::Dracut, "enter passphrase for disk")
    })
}

/// The root is encrypted. The prompt for its passphrase comes, though its disk and all of USB are
/// asked for: the controller of the disk stays with dom0, and so does that of the only keyboard.
/// The other controllers of SATA and USB, which are the control, are seized.
fn luks(generator: Generator, prompt: &str) -> Result<String> {
    let (keyboard, driver) = KEYBOARD;
    let needed = [ROOT_ON_AHCI, KEYBOARD];
    let configuration = format!("{}class:usb\n", configuration(&[ROOT_ON_AHCI]));
    let boot = format!(
        "{}keyboard = 1033:0194@{keyboard} # has the last keyboard\n",
        boot_file(&[ROOT_ON_AHCI])
    );
    let image = image(
        image_with(Layout::Luks, generator)?,
        generator,
        &configuration,
        &boot,
    )?;
    let machine = Machine::dom0(&image)
        .without_keyboard_port()
        .device(IDLE_AHCI_DEVICE)
        .installed(&Product::install()?)
        .file(FILE, &configuration)
        .script(TELL)
        .answer(prompt, "passphrase");
    let machine = KEYBOARD_DEVICES
        .iter()
        .fold(machine, |machine, device| machine.device(device));
    let name = format!("reach-luks-{}", generator.name());
    let seen = Layout::Luks.under(machine)?.work(2).boot(&name)?;

    let plan = traced(&seen, &boot)?;
    ensure!(
        plan.contains("it holds /") && plan.contains("keyboard"),
        "{plan}"
    );
    for (address, driver) in needed {
        assert_left(&seen, address, driver)?;
    }
    for pair in PAIRS.iter().filter(|pair| pair.model != USB.model) {
        assert_one_seized(&seen, pair)?;
    }
    for address in [USB.listed, USB.twin, IDLE_AHCI] {
        assert_seized_alone(&seen, address)?;
    }
    assert_claimed(&seen, ROOT_DISK.0, ROOT_DISK.1);
    Ok(format!(
        "the prompt comes and is answered; the disk's controller ({}) and the keyboard's \
         ({driver}) are traced and refused, all others of both kinds seized",
        ROOT_ON_AHCI.1
    ))
}

#[test]
#[ignore = "make check-reach"]
fn plymouth_initramfs_tools() -> Result<()> {
    platform("plymouth-initramfs-tools", || {
        plymouth(Generator::InitramfsTools)
    })
}

#[test]
#[ignore = "make check-reach"]
fn plymouth_dracut() -> Result<()> {
    platform("plymouth-dracut", || plymouth(Generator::Dracut))
}

/// With `quiet splash` plymouth has the screen. The devices are seized all the same, and the
/// console has the one line of a boot with `quiet`. The twins are the control.
fn plymouth(generator: Generator) -> Result<String> {
    let image = Image::with(generator, &Product::install()?)
        .with_packages(&["plymouth"])
        .file(FILE, &board::configuration())
        .build()?;
    ensure!(image.has("plymouthd"), "{}", image.build_log);
    let seen = Machine::dom0(&image)
        .attended()
        .cmdline("quiet splash")
        .device(SCREEN_DEVICE)
        .script("plymouth --ping; echo $? >ping; ls /sys/class/drm >screens")
        .boot(&format!("reach-plymouth-{}", generator.name()))?;
    ensure!(seen.file("ping") == Some("0\n"), "plymouthd does not run");
    let screens = seen.file("screens").unwrap_or_default();
    ensure!(screens.contains("card0-Virtual-1"), "{screens}");
    assert_listed_seized(&seen)?;
    let lines = seen.console().iter().map(|line| line.text.as_str());
    let ours = lines.filter(|line| line.contains("pciseize: "));
    let said: Vec<&str> = ours.collect();
    ensure!(
        said.len() == 1 && said[0].ends_with("pciseize: 4 of 4 devices seized"),
        "{said:#?}"
    );
    Ok(format!(
        "{0} of {0} seized; plymouth runs on a screen, and the console has one line",
        PAIRS.len()
    ))
}

#[test]
#[ignore = "make check-reach"]
fn boot_on_nfs() -> Result<()> {
    platform("boot-on-nfs", nfs)
}

/// `/boot` is a folder of another host, over NFS: the card that leads there is told to the image,
/// and refused on the running host. With force it goes, and the server is out of reach: that is
/// the control. The script is `guest/remote-folder`.
fn nfs() -> Result<String> {
    let image = Image::stock(Generator::InitramfsTools)
        .with_packages(&["nfs-kernel-server"])
        .build()?;
    let (card, other) = (NETWORK.listed, NETWORK.twin);
    let seen = Machine::dom0(&image)
        .installed(&Product::install()?)
        .with_cable()
        .file(FILE, &format!("{card}\n"))
        .file("lab/remote-folder", include_str!("../guest/remote-folder"))
        .script(&format!("exec bash /lab/remote-folder {card} {other}"))
        .boot("reach-nfs")?;
    let file = |name: &str| {
        seen.file(name).with_context(|| {
            let said = seen.file("script.output");
            format!("the script wrote no {name}: {said:?}")
        })
    };
    let boot = file("boot")?;
    ensure!(
        boot.contains(&format!("8086:10d3@{card} # holds /boot\n")) && !boot.contains(other),
        "{boot}"
    );
    ensure!(file("boot.status")? == "0\n");
    ensure!(
        file("plan")?.contains("it holds /boot"),
        "{}",
        file("plan")?
    );
    let refused = file("seize")?;
    ensure!(
        refused.contains("refused") && refused.contains("it holds /boot"),
        "{refused}"
    );
    ensure!(file("seize.status")? == "1\n");
    ensure!(file("folder")? == "here\n", "{}", file("folder")?);
    ensure!(file("server.status")? == "0\n", "{}", file("server")?);
    // The control.
    let forced = file("forced")?;
    ensure!(forced.contains(&format!("{card} seized")), "{forced}");
    ensure!(
        file("forced.server.status")? == "1\n",
        "{}",
        file("forced.server")?
    );
    Ok(
        "the card is traced and refused on the running host; with force its server is out of reach"
            .into(),
    )
}

#[test]
#[ignore = "make check-reach"]
fn nfs_dracut() -> Result<()> {
    platform("nfs-dracut", || {
        on_nfs(
            Generator::Dracut,
            "nfs4:192.0.2.2:/",
            &format!("ifname=lan:{LAN} ip=192.0.2.1:::255.255.255.0::lan:none rd.neednet=1"),
        )
    })
}

#[test]
#[ignore = "make check-reach"]
fn nfs_initramfs_tools() -> Result<()> {
    platform("nfs-initramfs-tools", || {
        on_nfs(
            Generator::InitramfsTools,
            "/dev/nfs",
            "nfsroot=192.0.2.2:/srv/root ip=192.0.2.1:::255.255.255.0::enp0s4:none",
        )
    })
}

/// What the images and the root need for it; most of that is dracut's.
const NFS: [&str; 6] = [
    "dracut-network",
    "iproute2",
    "iputils-arping",
    "isc-dhcp-client",
    "nfs-common",
    "procps",
];

/// systemd's network is there too, and dracut would choose that; it needs D-Bus.
const DRACUT_NETWORK: &str = "add_dracutmodules+=\" network-legacy \"\n";

/// The hardware address that QEMU gives to the first card of a machine. The command line calls the
/// card `lan`.
const LAN: &str = "52:54:00:12:34:56";

/// The root is a folder of another machine, over NFS. The card that leads there stays with dom0
/// though it is asked for, and everything else that is asked for is seized: other cards of its
/// model too, which is the control. The server's script is `guest/folder-server`.
fn on_nfs(generator: Generator, root: &str, arguments: &str) -> Result<String> {
    let card = (NETWORK.listed, NETWORK.driver);
    let configuration = format!("{}{}\n", board::configuration(), NETWORK.twin);
    let boot = format!("8086:10d3@{} # holds /\n", card.0);
    let image = image(
        Image::with(generator, &Product::install()?)
            .with_packages(&NFS)
            .file("/etc/dracut.conf.d/network.conf", DRACUT_NETWORK),
        generator,
        &configuration,
        &boot,
    )?;
    let cable = TempDir::new()?;
    let cable = cable.path().join("cable");
    let machine = Machine::dom0(&image)
        .root(root)
        .cmdline(arguments)
        .with_peer(&cable, End::Calls)
        .installed(&Product::install()?)
        .file(FILE, &configuration)
        .script(&format!("{TELL}: >/lab/goes\n"));
    let name = format!("reach-nfs-{}", generator.name());
    let seen = thread::scope(|scope| {
        let server = scope.spawn(|| serve(&format!("{name}-server"), &image, &cable));
        while !cable.exists() && !server.is_finished() {
            thread::sleep(Duration::from_millis(100));
        }
        let seen = machine.work(2).boot(&name);
        server.join().expect("the server's thread")?;
        seen
    })?;

    let plan = traced(&seen, &boot)?;
    ensure!(plan.contains("it holds /"), "{plan}");
    let mounts = seen.file("mountinfo").unwrap_or_default();
    ensure!(
        mounts
            .lines()
            .any(|line| line.split(' ').nth(4) == Some("/") && line.contains(" - nfs")),
        "{mounts}"
    );
    assert_left(&seen, card.0, card.1)?;
    assert_seized_alone(&seen, NETWORK.twin)?;
    for pair in PAIRS.iter().filter(|pair| pair.listed != card.0) {
        assert_one_seized(&seen, pair)?;
    }
    Ok(format!(
        "the card to the server traced and refused, {0} of {0} others seized, among them two cards \
         of its model",
        PAIRS.len()
    ))
}

/// Boots the machine that has the root, without Xen, to its end.
fn serve(name: &str, client: &Initramfs, cable: &Path) -> Result<()> {
    let image = Image::stock(Generator::InitramfsTools)
        .with_packages(&["nfs-kernel-server"])
        .build()?;
    let limits = pace::limits(1)?;
    let seen = Machine::bare(&image)
        // The client's card is the first of its machine, and has the address that QEMU gives to
        // such a card. So this machine's is the second.
        .devices(vec![
            NETWORK_TWIN.to_owned(),
            NETWORK_DEVICE.to_owned(),
            "nvme,addr=6,serial=folder,drive=folder".to_owned(),
        ])
        .drive(&format!(
            "if=none,format=raw,id=folder,snapshot=on,file={}",
            client.debian.disk.display()
        ))
        // There are two file systems with the label of the root.
        .cmdline("root=/dev/disk/by-id/ata-root_QM00001")
        .with_peer(cable, End::Listens)
        .file("lab/serve", include_str!("../guest/folder-server"))
        .script(&format!("exec sh /lab/serve {} 192.0.2.1", NETWORK.listed))
        // It is silent while the other machine works.
        .limits(Limits {
            still: limits.still * 5,
            most: limits.still * 5,
        })
        .boot(name)?;
    let said = seen.file("script.output");
    ensure!(seen.file("script.status") == Some("0\n"), "{said:?}");
    Ok(())
}
