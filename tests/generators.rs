//! The hook for mkinitcpio and the feature for Alpine's mkinitfs: what comes into an image, what is
//! said meanwhile, and what the image's first process calls.
//!
//! mkinitcpio itself is not in Debian: a stand-in, `tests/generators/mkinitcpio`, builds images.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

/// A file of the package, with the paths that Debian has.
fn source(name: &str) -> String {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).expect(name);
    text.replace("@SBINDIR@", "/usr/sbin")
        .replace("@PREFIX@", "/usr")
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).expect("UTF-8")
}

/// A program in the place of pciseize. One of the disks was not found.
const PROGRAM: &str = r#"#!/bin/sh
case $* in
"list --boot") echo 8086:2922@0000:00:1f.2; echo 'pciseize: sdb: not found' >&2; exit 1 ;;
"list --names") echo '8086  Intel' ;;
check) echo 'conf:2:1: 100%s'; echo 'items: 1, problems: 1'; exit 1 ;;
"plan --warnings") echo '0000:03:00.0: CAUTION' ;;
*) exit 2 ;;
esac
"#;

/// What kmod says of the modules of a kernel that has one.
const MODINFO: &str = r#"#!/bin/sh
case $* in
'-k 6.1 -n xen-pciback') echo /lib/modules/6.1/xen-pciback.ko ;;
'-F '*) ;;
*) exit 1 ;;
esac
"#;

/// Makes some of this machine's folders part of the root, and runs a command there.
const IN_ROOT: &str = r#"
    cd "$1" && shift
    for folder in usr/bin usr/lib64 usr/lib/*-linux-gnu; do
        mkdir -p $folder
        mount --rbind /$folder $folder || exit
    done
    mount --rbind /proc proc && mount --rbind /dev dev || exit
    exec chroot . "$@"
"#;

/// A host with pciseize and mkinitcpio.
struct Host(TempDir);

impl Host {
    fn new() -> Host {
        let host = Host(tempfile::tempdir().expect("a folder"));
        for folder in [
            "proc",
            "dev",
            "image",
            "tmp",
            "usr/bin",
            "usr/lib64",
            "etc/xen",
        ] {
            fs::create_dir_all(host.path(folder)).expect("a folder");
        }
        for folder in Path::new("/usr/lib")
            .read_dir()
            .expect("libraries")
            .flatten()
        {
            let name = folder.file_name().into_string().expect("UTF-8");
            if name.ends_with("-linux-gnu") {
                fs::create_dir_all(host.path(&format!("usr/lib/{name}"))).expect("a folder");
            }
        }
        for folder in ["bin", "sbin", "lib", "lib64"] {
            symlink(format!("usr/{folder}"), host.path(folder)).expect("a link");
        }
        host.file("usr/sbin/pciseize", PROGRAM);
        host.file("usr/sbin/modinfo", MODINFO);
        host.file("usr/sbin/depmod", "#!/bin/sh\n");
        host.file("usr/lib/modules/6.1/xen-pciback.ko", "a module\n");
        host.file("mkinitcpio", &source("tests/generators/mkinitcpio"));
        let [install, run] = ["install", "hooks"].map(|kind| format!("usr/lib/initcpio/{kind}"));
        host.file(
            &format!("{install}/pciseize"),
            &source("mkinitcpio/install.in"),
        );
        host.file(&format!("{run}/pciseize"), &source("mkinitcpio/hook.in"));
        let unit = source("dracut/50pciseize/pciseize.service.in");
        host.file("usr/share/pciseize/initrd.service", &unit);
        host
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file; one that begins with `#!` can be run.
    fn file(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, text).expect("a file");
        let mode = if text.starts_with("#!") { 0o755 } else { 0o644 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("its mode");
    }

    /// Makes an image of these hooks, and returns what was said.
    fn mkinitcpio(&self, hooks: &str) -> String {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", IN_ROOT, "sh"]);
        command
            .arg(self.0.path())
            .args(["/mkinitcpio", "6.1", "/image"]);
        command.args(hooks.split(' '));
        command
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("DRIVERS", "");
        let output = command.output().expect("unshare runs");
        let said = text(&output.stderr).to_owned();
        assert!(
            output.status.success() && output.stdout.is_empty(),
            "{output:?}"
        );
        said
    }

    /// The files of the image, in order, but for what the stand-in itself puts there.
    fn image(&self) -> Vec<String> {
        let mut found = Vec::new();
        list(&self.path("image"), "", &mut found);
        found.sort();
        found
    }

    fn in_image(&self, name: &str) -> String {
        fs::read_to_string(self.path("image").join(name)).expect(name)
    }
}

fn list(folder: &Path, below: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = format!("{below}{}", entry.file_name().to_string_lossy());
        if entry.file_type().expect("its kind").is_dir() {
            list(&entry.path(), &format!("{path}/"), found);
        } else if path.contains('/') && !path.starts_with("usr/sbin") && path != "usr/lib64" {
            found.push(path);
        }
    }
}

/// What the image has of a host that has nothing but one line of configuration.
const ALWAYS: [&str; 8] = [
    "etc/xen/pciback.boot",
    "etc/xen/pciback.conf",
    "hooks/pciseize",
    "usr/bin/pciseize",
    "usr/lib/modules/6.1/xen-pciback.ko",
    "usr/lib/systemd/system/pciseize.service",
    "usr/lib/systemd/system/sysinit.target.wants/pciseize.service",
    "usr/share/misc/pci.ids",
];

/// What the program says of that host.
const SAID: [&str; 3] = ["sdb: not found", "conf:2:1: 100%s", "0000:03:00.0: CAUTION"];

fn warnings(said: &[&str]) -> String {
    let lines = said.iter();
    lines
        .map(|line| format!("==> WARNING: pciseize: {line}\n"))
        .collect()
}

/// Before udev: `/init` runs the hook before that of udev.
#[test]
fn mkinitcpio_before_udev() {
    let host = Host::new();
    host.file("etc/xen/pciback.conf", "03:00.0\n");
    assert_eq!(host.mkinitcpio("pciseize udev"), warnings(&SAID));
    let mut files: Vec<&str> = ALWAYS.to_vec();
    files.insert(3, "hooks/udev");
    assert_eq!(host.image(), files);
    assert!(
        host.in_image("config")
            .contains("EARLYHOOKS=\" pciseize udev\"\n")
    );
    assert_eq!(
        host.in_image("etc/xen/pciback.boot"),
        "8086:2922@0000:00:1f.2\n"
    );
    assert_eq!(host.in_image("usr/share/misc/pci.ids"), "8086  Intel\n");
}

/// Before systemd: the unit is there, wanted, and starts the program that is in the image.
#[test]
fn mkinitcpio_before_systemd() {
    let host = Host::new();
    host.file("etc/xen/pciback.conf", "03:00.0\n");
    assert_eq!(host.mkinitcpio("pciseize systemd"), warnings(&SAID));
    assert_eq!(host.image(), ALWAYS);
    let wanted = "usr/lib/systemd/system/sysinit.target.wants/pciseize.service";
    let unit = host.in_image(wanted);
    assert_eq!(unit, source("dracut/50pciseize/pciseize.service.in"));
    assert!(
        unit.contains("\nExecStart=/usr/sbin/pciseize seize\n"),
        "{unit}"
    );
    assert_eq!(host.in_image("usr/sbin/pciseize"), PROGRAM);
}

/// Behind udev it may be too late, and that is said. Behind systemd it is the same unit.
#[test]
fn mkinitcpio_tells_of_a_hook_that_comes_first() {
    let said = Host::new().mkinitcpio("udev pciseize");
    assert!(
        said.starts_with("==> WARNING: pciseize: stands behind udev in HOOKS"),
        "{said}"
    );
    assert_eq!(Host::new().mkinitcpio("systemd pciseize"), warnings(&SAID));
}

/// All that the program reads comes into the image, and no other file of the same folders. With a
/// file of modprobe.d comes the one that hides it.
#[test]
fn mkinitcpio_gets_what_the_program_reads() {
    let host = Host::new();
    let files = [
        "etc/modprobe.d/a.conf",
        "etc/modules",
        "etc/modules-load.d/xen.conf",
        "etc/xen/pciback.conf.d/50-more.conf",
        "usr/lib/modprobe.d/hidden.conf",
        "usr/lib/modprobe.d/off.conf",
        "usr/local/lib/modprobe.d/b.conf",
    ];
    for file in files {
        host.file(file, "options xen-pciback hide=(03:00.0)\n");
    }
    host.file("etc/modprobe.d/hidden.conf", "# nothing\n");
    symlink("/dev/null", host.path("etc/modprobe.d/off.conf")).expect("a link");
    for file in ["etc/modprobe.d/other.conf", "etc/modules-load.d/other.conf"] {
        host.file(file, "# xen-pciback\noptions other value=1\n");
    }
    host.file("etc/xen/pciback.conf.d/50-more.conf.old", "04:00.0\n");

    assert_eq!(host.mkinitcpio("pciseize udev"), warnings(&SAID));
    let image = host.image();
    let more = ["etc/modprobe.d/hidden.conf", "etc/modprobe.d/off.conf"];
    let always = ALWAYS.iter().filter(|file| !file.ends_with("pciback.conf"));
    let mut all: Vec<&str> = files.iter().chain(&more).chain(always).copied().collect();
    all.push("hooks/udev");
    all.sort_unstable();
    assert_eq!(image, all);
    let hidden = host.path("image/etc/modprobe.d/off.conf").read_link();
    assert_eq!(hidden.expect("a link"), Path::new("/dev/null"));
}

/// A kernel without the module: the image is not called incomplete.
#[test]
fn mkinitcpio_tells_of_a_kernel_without_the_module() {
    let host = Host::new();
    host.file("usr/sbin/modinfo", "#!/bin/sh\nexit 1\n");
    let said = host.mkinitcpio("pciseize udev");
    let first = "==> WARNING: pciseize: kernel 6.1 has no xen-pciback: no dom0 driver will get";
    assert!(
        said.starts_with(first) && said.ends_with(&warnings(&SAID)),
        "{said}"
    );
    assert!(host.path("image/usr/bin/pciseize").exists());
}

/// Whatever is wrong with the program is a warning, and the image is made.
#[test]
fn mkinitcpio_makes_an_image_without_the_program() {
    let missing = "is missing or cannot be executed: this image takes no device away from dom0";
    let untold = "the controllers that this host boots from cannot be told";
    for (program, said, is_copied) in [
        (None, missing, false),
        (Some("no program\n"), missing, false),
        (Some("#!/bin/sh\necho 8086:2922\nexit 2\n"), untold, true),
        (Some("#!/bin/sh\nkill -KILL $$\n"), untold, true),
    ] {
        let host = Host::new();
        fs::remove_file(host.path("usr/sbin/pciseize")).expect("it was there");
        if let Some(program) = program {
            host.file("usr/sbin/pciseize", program);
        }
        let warned = host.mkinitcpio("pciseize udev");
        let is_warned = warned
            .lines()
            .any(|line| line.starts_with("==> WARNING: pciseize: ") && line.contains(said));
        assert!(is_warned, "{warned}");
        assert_eq!(host.path("image/usr/bin/pciseize").exists(), is_copied);
        assert_eq!(host.path("image/hooks/pciseize").exists(), is_copied);
        assert!(
            !host.path("image/etc/xen/pciback.boot").exists(),
            "half a list"
        );
    }
}

/// Runs the runtime hook; the program ends with that status.
fn early(status: &str) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("pciseize");
    fs::write(&program, format!("#!/bin/sh\necho \"did $*\"\n{status}\n")).expect("a program");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("its mode");
    let hook = source("mkinitcpio/hook.in");
    let hook = hook.replace("/usr/sbin", &folder.path().display().to_string());
    let init = "err() { echo \"ERROR: $*\"; }\nlaunch_interactive_shell() { echo shell; }";
    let script = format!("{init}\n{hook}\nrun_earlyhook\necho goes on\n");
    Command::new("dash")
        .args(["-c", &script])
        .output()
        .expect("dash runs")
}

/// Only status 3 stops the boot, at a shell. When that is left, the boot goes on.
#[test]
fn the_hook_stops_only_a_strict_boot() {
    for status in ["exit 0", "exit 1", "exit 2", "kill -KILL $$"] {
        let output = early(status);
        assert_eq!(text(&output.stdout), "did seize\ngoes on\n", "{status}");
    }
    let strict = "did seize\nERROR: pciseize: strict, and not all is as asked.\nshell\ngoes on\n";
    assert_eq!(text(&early("exit 3").stdout), strict);
}

/// The patterns of a feature of mkinitfs.
fn patterns(name: &str) -> Vec<String> {
    let text = source(name);
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

/// The feature names each file that the program reads in an image, and the module. The files are
/// found by a mistake in each.
#[test]
fn the_feature_of_mkinitfs_names_what_the_program_reads() {
    // Of the distribution, of this boot only, or harmful: the image's /init loads all that
    // /etc/modules names.
    let left_out = [
        "etc/modules",
        "etc/modules-load.d/a.conf",
        "lib/modprobe.d/d.conf",
        "run/modprobe.d/e.conf",
        "usr/lib/modprobe.d/f.conf",
    ];
    let named = [
        "etc/modprobe.d/b.conf",
        "etc/xen/pciback.boot",
        "etc/xen/pciback.conf",
        "etc/xen/pciback.conf.d/a.conf",
        "usr/local/lib/modprobe.d/c.conf",
    ];
    let root = tempfile::tempdir().expect("a folder");
    for (at, file) in left_out.iter().chain(&named).enumerate() {
        let path = root.path().join(file);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        let mistake = format!("xen-pciback hide=(zz:{at:02}.0)\n");
        let line = match file {
            file if file.contains("modprobe.d") => format!("options {mistake}"),
            file if file.contains("modules") => mistake,
            _ => format!("zz:{at:02}.0\n"),
        };
        fs::write(path, line).expect("a file");
    }
    let output = Command::new(env!("CARGO_BIN_EXE_pciseize"))
        .arg("--root")
        .arg(root.path())
        .arg("check")
        .output()
        .expect("it runs");
    let said = text(&output.stdout);
    for file in left_out.iter().chain(&named) {
        assert!(
            said.contains(&format!("/{file}:")),
            "{file} is not read:\n{said}"
        );
    }
    let patterns = patterns("mkinitfs/pciseize.files.in");
    let is_named = |file: &str| {
        patterns.iter().any(|pattern| {
            let pattern = pattern.trim_start_matches('/');
            match pattern.split_once('*') {
                Some((before, after)) => file.starts_with(before) && file.ends_with(after),
                None => pattern == file,
            }
        })
    };
    for file in named {
        assert!(is_named(file), "{file}");
    }
    for file in left_out {
        assert!(!is_named(file), "{file}");
    }
    assert!(is_named("usr/sbin/pciseize"));
    let modules =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("mkinitfs/pciseize.modules"));
    assert_eq!(
        modules.expect("the modules"),
        "kernel/drivers/xen/xen-pciback\n"
    );
}
