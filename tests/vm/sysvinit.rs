//! The scripts for sysvinit and OpenRC, where Debian's own programs order and run them: sysvinit's
//! in a whole boot with Xen's own script, OpenRC's in a root tree.

use std::fmt::Debug;

use anyhow::{Context, Result};

use crate::lab::board::{BEHIND_ROOT_PORT, NETWORK, NVME, PAIRS, USB};
use crate::lab::evidence::Evidence;
use crate::lab::image::{Generator, Image};
use crate::lab::init::Init;
use crate::lab::machine::Machine;
use crate::lab::product::Product;
use crate::{DROP_IN, FILE, assert_claimed};

/// Ends the scripts of a boot that only cost time here. There is no second file system, no clock to
/// set, and nothing to clean, and the drivers have their devices since the initramfs. The places of
/// the scripts in the order remain.
const IDLE: &str = r"
cd /etc/init.d
sed -i '/^### END INIT INFO/a exit 0' bootlogs bootmisc.sh brightness checkfs.sh checkroot.sh \
    *-bootclean.sh hwclock.sh mount-configfs mountnfs.sh rmnologin udev urandom
";

/// What Xen's script reads before it does anything. The file is the administrator's.
const DEFAULT_XEN: &str = "echo \"lab: Xen's script: $1\" >/dev/kmsg\n";

/// Asks the script for all that it does, and keeps what it says and how it ends.
fn script() -> String {
    format!(
        r#"
        call() {{
            name=$1
            shift
            "$@" >"$name" 2>&1
            echo $? >>"$name"
        }}
        ls /etc/rc2.d >rc2.d
        call status service pciseize status
        call status-itself pciseize status
        echo {usb} >>{FILE}
        call pending service pciseize status
        call restart service pciseize restart
        mkdir -p "$(dirname {DROP_IN})"
        echo {nvme} >{DROP_IN}
        call force-reload service pciseize force-reload
        call stop service pciseize stop"#,
        usb = USB.listed,
        nvme = NVME.listed
    )
}

/// The image has no pciseize, and the administrator has enabled the script as the guide says. The
/// file is one of the original init script. Until the script runs, dom0's drivers have the devices,
/// although `/etc/modules` has loaded the module. Then Xen's own script runs.
#[test]
fn sysvinit_seizes_before_xens_script() -> Result<()> {
    let [network, behind] = [NETWORK.listed, BEHIND_ROOT_PORT.listed];
    let image = Image::stock(Generator::InitramfsTools).build()?;
    let machine = Machine::dom0(&image)
        .file(
            FILE,
            &format!(
                "#\n# for the guests\n\n{network} # a card\n#{}\n{behind}\n#\n",
                USB.twin
            ),
        )
        .file("etc/modules", "xen_pciback\n")
        .file("etc/default/xen", DEFAULT_XEN)
        .script(&script());
    let commands = Init::Sysvinit.guide()? + IDLE;
    let seen = Init::Sysvinit
        .on(machine, &Product::install()?, &commands)?
        .boot("sysvinit")?;

    // All claims are looked at, so that one boot with several faults shows them all.
    let wrong: Vec<Claim> = [claims_of_boot(&seen)?, claims_of_calls(&seen)?]
        .into_iter()
        .flatten()
        .filter(|claim| !claim.is_so)
        .collect();
    assert!(wrong.is_empty(), "not so: {wrong:#?}");
    Ok(())
}

/// What has to be so in a boot, and what was seen of it.
#[derive(Debug)]
struct Claim {
    is_so: bool,
    #[expect(dead_code, reason = "shown in the message of a failed test")]
    text: &'static str,
    #[expect(dead_code, reason = "shown in the message of a failed test")]
    seen: String,
}

fn claim(is_so: bool, text: &'static str, seen: impl Debug) -> Claim {
    let seen = format!("{seen:?}");
    Claim { is_so, text, seen }
}

fn claims_of_boot(seen: &Evidence) -> Result<Vec<Claim>> {
    let order: Vec<&str> = file(seen, "rc2.d")?.lines().collect();
    let place = |name: &str| order.iter().find_map(|link| link.strip_suffix(name));
    let [ours, xens] = [place("pciseize"), place("xen")];
    let is_before = ours.is_some() && ours < xens;
    let mut claims = vec![claim(is_before, "insserv orders it before Xen's", &order)];

    let lines = seen.console();
    let at = |text: &str| lines.iter().position(|line| line.text.contains(text));
    let loaded = at("Loading kernel module xen_pciback");
    let told = at("2 of 2 devices seized");
    let is_before = loaded.is_some() && loaded < told;
    let text = "/etc/modules has loaded the module before";
    claims.push(claim(is_before, text, [loaded, told]));

    let began = seen.time_of("lab: Xen's script: start");
    for pair in [NETWORK, BEHIND_ROOT_PORT] {
        let probes = seen.successful_probes(pair.listed);
        let is_so = probes.len() == 2 && began.is_some_and(|began| probes[1].at < began);
        let text = "its driver had it, then pciback, then Xen's script began";
        claims.push(claim(is_so, text, (pair.listed, probes, began)));
    }
    for pair in PAIRS {
        let driver = seen.driver(pair.listed);
        let reported = seen.reported(pair.listed).unwrap_or_default();
        let is_so = driver == Some("pciback")
            && reported["latest"] == "seized"
            && reported["origin"] == pair.driver;
        let text = "it was taken from its driver, and stays with pciback";
        claims.push(claim(is_so, text, (pair.listed, driver, reported)));
        assert_claimed(seen, pair.twin, pair.driver);
    }
    Ok(claims)
}

fn claims_of_calls(seen: &Evidence) -> Result<Vec<Claim>> {
    let [status, itself] = [file(seen, "status")?, file(seen, "status-itself")?];
    let is_so = status == itself && status.contains(NETWORK.listed);
    let mut claims = vec![claim(is_so, "status is pciseize status", [status, itself])];
    let stays = "stay where they are, as guests may have them";
    for (name, texts, ends_with) in [
        ("pending", [USB.listed, "pending"], "\n1\n"),
        ("restart", [USB.listed, "3 of 3 devices seized"], "\n0\n"),
        (
            "force-reload",
            [NVME.listed, "4 of 4 devices seized"],
            "\n0\n",
        ),
        ("stop", [stays, "pciseize release ADDRESS"], "\n0\n"),
    ] {
        let said = file(seen, name)?;
        let is_so = texts.iter().all(|text| said.contains(text)) && said.ends_with(ends_with);
        claims.push(claim(is_so, name, said));
    }
    Ok(claims)
}

fn file<'a>(seen: &'a Evidence, name: &str) -> Result<&'a str> {
    seen.file(name).with_context(|| {
        let output = seen.file("script.output");
        format!("the script wrote no {name}: {output:?}")
    })
}

/// Leaves a tree in which OpenRC can run on the host: no other script, as those would mount file
/// systems and set the clock of the host. Xen's own script ends outside of a dom0, after it has
/// read its defaults. The program only says how it was called, and ends as the file `/status` says.
const TREE: &str = r#"
rm -f /etc/runlevels/*/*
for script in /etc/init.d/*; do
    [ "${script##*/}" = xen ] || rm -r "$script"
done
echo 'echo "called xen $1"' >/etc/default/xen
cat >/etc/init.d/file-systems <<'END'
#!/sbin/openrc-run
depend() { provide mountall; }
start() { echo called mountall; }
END
cat >/usr/sbin/pciseize <<'END'
#!/bin/sh
echo "called pciseize $*"
read -r status </status
exit "$status"
END
chmod 755 /etc/init.d/file-systems
rc-update --quiet add file-systems default
rc-update --quiet add xen default
"#;

/// Calls OpenRC as at a boot and as an administrator.
const CALLS: &str = r#"
rm -rf /run/openrc
mkdir /run/openrc
: >/run/openrc/softlevel
call() {
    echo "$1" >/status
    shift
    echo "called: $*"
    "$@" || echo "called: it ends with $?"
}
call 1 rc-service pciseize status
call 0 openrc default
call 0 rc-service pciseize restart
call 1 rc-service pciseize restart
call 0 rc-service pciseize start
call 0 rc-service pciseize stop
xen=$(sed -n "s/_service='xen'$//p" /run/openrc/deptree)
sed -n "s/^${xen}_iafter_[0-9]*/xen comes after/p" /run/openrc/deptree
pciseize=$(sed -n "s/_service='pciseize'$//p" /run/openrc/deptree)
sed -n "s/^${pciseize}_iuse_[0-9]*/pciseize uses/p" /run/openrc/deptree
"#;

/// Debian's OpenRC runs Xen's script for sysvinit, as the service `xen`, and `mountall` mounts.
/// Neither Alpine nor Gentoo has such names.
#[test]
fn openrc_of_debian_seizes_before_xens_script() -> Result<()> {
    let init = Init::OpenRc;
    let commands = format!("{TREE}{}{CALLS}", init.guide()?);
    let said = init.said(&Product::install()?, &commands)?;
    let called: Vec<&str> = said
        .lines()
        .filter_map(|line| Some(line.split_once("called")?.1))
        .collect();
    let expected = [
        ": rc-service pciseize status",
        " pciseize status",
        ": it ends with 1",
        ": openrc default",
        " mountall",
        " pciseize seize",
        " xen start",
        ": rc-service pciseize restart",
        " pciseize seize",
        ": rc-service pciseize restart",
        " pciseize seize",
        ": it ends with 1",
        ": rc-service pciseize start",
        " pciseize seize",
        ": rc-service pciseize stop",
    ];
    assert_eq!(called, expected, "{said}");
    // The order above may be one of chance: these lines are what OpenRC orders by.
    for line in ["xen comes after='pciseize'", "pciseize uses='mountall'"] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let stays = "The devices stay where they are, as guests may have them.";
    assert_eq!(said.matches(stays).count(), 1, "{said}");
    assert!(!said.contains("WARNING"), "{said}");
    Ok(())
}
