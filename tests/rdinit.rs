//! The program as the first process of an initramfs (`rdinit=`), without a virtual machine: it is
//! process 1 of a namespace whose root is in memory.
//!
//! Nobody may mount sysfs or devtmpfs there (`user_namespaces(7)`). So `/sys` and `/dev` are plain
//! folders, if the image has them, and nothing of this machine is reached. `tests/vm/rdinit.rs` has
//! the boots. The archive that brings the program into a finished image is tested here too.

mod release;

use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// What is started in place of the kernel: it lays out the root, sets up what the first process
/// gets, and becomes that process. `LAB` is a variable from the kernel's line.
const KERNEL: &str = r#"
set -eu
chroot=$(command -v chroot) folder=$1 setup=$2
shift 2
mount -t tmpfs root "$folder/root"
cp -a "$folder/image/." "$folder/root"
mount --rbind /proc "$folder/root/see"
mount --bind "$folder/out" "$folder/root/out"
cd "$folder/root"
eval "$setup"
exec env -i --block-signal=USR1 --ignore-signal=HUP HOME=/ TERM=linux 'LAB=a  b' "$chroot" . "$@"
"#;

/// The image's own first program. It tells all that it got, with nothing but what its shell can do:
/// `/see` has the processes of the machine.
const INIT: &str = r#"#!/tools/sh
{
    echo "$0 as process $$"
    for word; do echo "word '$word'"; done
    export -p
    umask
    pwd
    while read -r line; do
        case $line in SigBlk* | SigIgn* | SigPnd*) echo "$line" ;; esac
    done </see/self/status
    while read -r line; do echo "mount $line"; done </see/self/mounts
    echo "processes" /proc/[0-9]* ""
    echo "files" /see/self/fd/*
    echo "folders" /*
    override=/sys/bus/pci/devices/0000:00:04.0/driver_override
    [ ! -e $override ] || { read -r line || :; echo "override $line"; } <$override
} >/out/told
"#;

/// An image, as folders.
struct Image(TempDir);

/// What came of a boot.
struct Boot {
    /// What the image's first program told.
    told: String,
    /// Standard error: nothing has `/dev/kmsg`.
    said: String,
    status: Option<i32>,
}

impl Image {
    /// One with the program, and a shell that nobody would take for a first program.
    fn new() -> Image {
        let image = Image(tempfile::tempdir().expect("a folder"));
        for folder in ["root", "out", "image/see", "image/out", "image/tools"] {
            fs::create_dir_all(image.0.path().join(folder)).expect("a folder");
        }
        release::install(&release::program(), &image.path("/"));
        let script = r#"
            shell=$(readlink -f /bin/sh)
            cp "$shell" "$1/tools/sh"
            for file in $(ldd "$shell" | grep -o '/[^ )]*'); do
                install -D "$file" "$1$file"
            done"#;
        let mut copy = Command::new("sh");
        copy.args(["-euc", script, "sh"]).arg(image.path("/"));
        assert!(copy.status().expect("sh runs").success());
        image
    }

    fn path(&self, name: &str) -> PathBuf {
        let image = self.0.path().join("image");
        image.join(name.trim_start_matches('/'))
    }

    /// Adds a file. If the text begins with `#!`, the file is executable.
    fn file(self, name: &str, text: &str) -> Image {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("its folder")).expect("a folder");
        fs::write(&path, text).expect("a file");
        if text.starts_with("#!") {
            fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("its mode");
        }
        self
    }

    /// Adds what a Xen dom0 shows of one device, and a file that asks for that.
    fn dom0(self) -> Image {
        let folder = "/sys/devices/pci0000:00/0000:00:04.0";
        let modalias = "pci:v00008086d000010D3sv00008086sd00000000bc02sc00i00\n";
        let image = self
            .file("/sys/hypervisor/properties/features", "00000f05\n")
            .file(&format!("{folder}/modalias"), modalias)
            .file(&format!("{folder}/driver_override"), "(null)\n")
            .file("/etc/xen/pciback.conf", "timeout = 1\n00:04.0\n");
        let devices = image.path("/sys/bus/pci/devices");
        fs::create_dir_all(&devices).expect("a folder");
        symlink(
            "../../../devices/pci0000:00/0000:00:04.0",
            devices.join("0000:00:04.0"),
        )
        .expect("a link");
        image
    }

    /// Boots it, with these words on the line of the first process, the first of them its path.
    fn boot(&self, setup: &str, words: &[&str]) -> Boot {
        // Also for root: the real one may mount everything.
        let mut command = Command::new("unshare");
        command
            .args(["--map-root-user", "--mount", "--pid", "--fork"])
            .args(["sh", "-c", KERNEL, "sh"])
            .arg(self.0.path())
            .arg(setup)
            .args(words);
        let output = command.output().expect("unshare runs");
        let told = self.0.path().join("out/told");
        let boot = Boot {
            told: fs::read_to_string(&told).unwrap_or_default(),
            said: String::from_utf8(output.stderr).expect("UTF-8"),
            status: output.status.code(),
        };
        let _ = fs::remove_file(told);
        boot
    }
}

/// `/init` gets words, environment, open files, signals and mounts as without pciseize.
#[test]
fn init_finds_everything_as_without() {
    let image = Image::new().file("/init", INIT);
    for setup in [
        "",
        "umask 027",
        // No `/dev/console` could be opened.
        "exec <&- >&- 2>&-",
        "mkdir proc sys dev",
        // This one may be refused. It is there afterwards as it was before.
        "mkdir proc; mount -t proc proc proc || true",
    ] {
        let with = image.boot(setup, &["/pciseize", "one", "two  words", ""]);
        let without = image.boot(setup, &["/init", "one", "two  words", ""]);
        assert!(with.told.starts_with("/init as process 1\n"), "{setup}");
        assert!(
            with.told.contains("word 'two  words'\nword ''\n"),
            "{setup}"
        );
        assert!(with.told.contains("LAB='a  b'"), "{setup}: {}", with.told);
        assert_eq!(with.told, without.told, "{setup}");
        assert_eq!(with.status, Some(0), "{setup}");
    }
}

/// An orphan of the seizure has ended, here one of modprobe's: `/init` does not inherit it.
#[test]
fn init_inherits_no_zombie() {
    let modprobe = "#!/tools/sh
        orphan=$( (exit 0) & echo $!)
        until [ \"$state\" = Z ]; do read -r number name state rest </proc/$orphan/stat; done
        echo $orphan >/out/orphan
        exit 1\n";
    let image = Image::new().file("/init", INIT).dom0();
    // A slow machine gets the time for modprobe that it needs.
    let patient = "timeout = 300\n00:04.0\n";
    let image = image.file("/etc/xen/pciback.conf", patient);
    let image = image.file("/sbin/modprobe", modprobe);
    let boot = image.boot("mkdir proc; mount -t proc proc proc", &["/pciseize"]);
    let orphan = fs::read_to_string(image.0.path().join("out/orphan")).expect("its number");
    let process = format!(" /proc/{} ", orphan.trim_end());
    assert!(!boot.told.contains(&process), "{}", boot.told);
}

/// What is missing is said, and no reason not to go on.
#[test]
fn says_what_is_missing() {
    let said = Image::new()
        .file("/init", INIT)
        .boot("", &["/pciseize"])
        .said;
    for message in [
        "/dev cannot be mounted: EPERM",
        "/sys cannot be mounted: EPERM",
        "not a Xen dom0",
        "/dev/pciseize.report cannot be written: ENOENT",
    ] {
        assert!(said.contains(message), "{message}: {said}");
    }
}

/// If `/init` cannot be executed, what the kernel would try is tried.
#[test]
fn runs_what_the_kernel_would_run() {
    let next = || Image::new().file("/sbin/init", INIT);
    let is_itself = next();
    symlink("/pciseize", is_itself.path("/init")).expect("a link");
    for (image, words, said) in [
        (
            next(),
            ["/pciseize", "word"],
            "/init cannot be executed: ENOENT",
        ),
        (
            next().file("/init", "not executable"),
            ["/pciseize", "word"],
            "/init cannot be executed: EACCES",
        ),
        (
            next().file("/init", "#!/nowhere/sh\n"),
            ["/pciseize", "word"],
            "/init cannot be executed: ENOENT",
        ),
        (is_itself, ["/init", "word"], "not a Xen dom0"),
    ] {
        let boot = image.boot("", &words);
        let first = "/sbin/init as process 1\nword 'word'\n";
        assert!(boot.told.starts_with(first), "{said}: {}", boot.told);
        assert!(boot.said.contains(said), "{said}: {}", boot.said);
    }

    let boot = Image::new().boot("", &["/pciseize"]);
    for program in ["/init", "/sbin/init", "/etc/init", "/bin/init", "/bin/sh"] {
        let message = format!("{program} cannot be executed: ENOENT");
        assert!(boot.said.contains(&message), "{}", boot.said);
    }
    assert_eq!(boot.status, Some(1));
}

/// A host that stays in memory for good is no initramfs: `/` is a tmpfs in its table of mounts.
/// Where nobody can read the table, it is taken for one: messages go to the kernel log.
#[test]
fn a_host_in_memory_is_no_initramfs() {
    let image = || Image::new().file("/dev/kmsg", "");
    let seize =
        "#!/tools/sh\n/pciseize seize\nread -r line </dev/kmsg\necho \"$line\" >/out/told\n";
    let boot = image()
        .file("/start", seize)
        .boot("mkdir proc; mount -t proc proc proc", &["/start"]);
    assert!(
        boot.said.contains("pciseize: not a Xen dom0"),
        "{}",
        boot.said
    );
    assert_eq!(boot.told, "\n", "{}", boot.said);
    let boot = image().file("/start", seize).boot("", &["/start"]);
    assert_eq!(boot.said, "");
    assert!(
        boot.told.contains("pciseize: not a Xen dom0"),
        "{}",
        boot.told
    );
}

/// The child that seizes is killed, here by a modprobe that signals every process but the first:
/// `/init` runs, and what was held stays held.
#[test]
fn init_runs_where_the_child_is_killed() {
    let image = Image::new().file("/init", INIT).dom0();
    let boot = image
        .file("/sbin/modprobe", "#!/tools/sh\nkill -KILL -1\n")
        .boot("", &["/pciseize"]);
    assert!(boot.said.contains("ended by signal 9"), "{}", boot.said);
    assert!(boot.told.contains("override pciseize\n"), "{}", boot.told);
}

/// The child hangs: it is given up once its time is over.
#[test]
fn init_runs_where_the_child_hangs() {
    let image = Image::new().file("/init", INIT).dom0();
    let boot = image
        .file("/sbin/modprobe", "#!/tools/sh\nkill -STOP -1\n")
        .boot("", &["/pciseize"]);
    let message = "did not end in 31 seconds";
    assert!(boot.said.contains(message), "{}", boot.said);
    assert!(boot.told.contains("override pciseize\n"), "{}", boot.told);
}

/// What `make side-image` makes of an image in `folder`, or what it says where it fails.
fn side_image(folder: &Path, image: &str, result: &str, release: &str) -> Result<String, String> {
    let output = Command::new("make")
        .args(["--no-print-directory", "-C", release::PACKAGE, "side-image"])
        .arg(format!("PROGRAM={}", folder.join("pciseize").display()))
        .arg(format!("IMAGE={}", folder.join(image).display()))
        .arg(format!("RESULT={}", folder.join(result).display()))
        .arg(format!("CONFIG={}", folder.join("my.conf").display()))
        .arg(format!("ROOT={}", folder.display()))
        .arg(format!("RELEASE={release}"))
        .env_remove("MAKEFLAGS")
        .output()
        .expect("make runs");
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    match output.status.success() {
        true => Ok(said),
        false => Err(said),
    }
}

/// The archive is in front, as long as whole blocks of 512 bytes, and the image behind it is as it
/// was.
#[test]
fn puts_an_archive_in_front_of_an_image() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    release::install(&release::program(), folder);
    let drivers = "lib/modules/6.1/kernel/drivers/xen/xen-pciback";
    let added = "lib/modules/6.1/updates/dkms";
    for (file, text) in [
        ("my.conf", "04:00.0\nnonsense\n"),
        ("image", "packed"),
        (&format!("{drivers}/xen-pciback.ko.xz"), "a module"),
        (&format!("{added}/xen-pciback.ko"), "another"),
        ("lib/modules/6.2/modules.dep", ""),
        (
            "lib/modules/6.3/modules.builtin",
            "kernel/a/xen-pciback.ko\n",
        ),
    ] {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().expect("its folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    let image = folder.join("image");
    fs::set_permissions(&image, Permissions::from_mode(0o600)).expect("its mode");

    let said = side_image(folder, "image", "result", "6.1").expect("it is made");
    assert!(said.contains("my.conf:2:1: "), "{said}");
    // It has a configuration of its own, and so no list of what this host boots from.
    let own: Vec<_> = said.matches("side-image: ").collect();
    assert_eq!(own.len(), 1, "{said}");
    assert!(said.contains("does not know what a host boots"), "{said}");
    let result = fs::read(folder.join("result")).expect("the result");
    let archive = result
        .strip_suffix(b"packed")
        .expect("the image at the end");
    assert!(archive.len().is_multiple_of(512), "{}", archive.len());
    assert!(archive.starts_with(b"070701"), "newc");
    let about = fs::metadata(folder.join("result")).expect("the result");
    assert_eq!(about.permissions().mode() & 0o777, 0o600);
    let mut list = Command::new("cpio");
    list.args(["--quiet", "-t", "-I"])
        .arg(folder.join("result"));
    let listed = String::from_utf8(list.output().expect("cpio runs").stdout).expect("UTF-8");
    let files: Vec<_> = listed
        .lines()
        .filter(|line| line.ends_with("pciseize") || line.contains("pciback"))
        .collect();
    let expected = [
        "etc/xen/pciback.conf",
        "pciseize",
        &format!("usr/{drivers}"),
        &format!("usr/{drivers}/xen-pciback.ko.xz"),
        &format!("usr/{added}/xen-pciback.ko"),
    ];
    assert_eq!(files, expected);
    // Nothing is where an image may have a link.
    for line in listed.lines() {
        let first = line.split('/').next().unwrap_or_default();
        assert!([".", "etc", "pciseize", "usr"].contains(&first), "{line}");
    }

    for (image, result, why) in [
        ("result", "twice", "has such an archive already"),
        ("image", "image", "is the image itself"),
        ("missing", "other", "missing"),
    ] {
        let said = side_image(folder, image, result, "6.1").expect_err("it fails");
        assert!(said.contains(why), "{said}");
        assert!(!folder.join("other").exists() && !folder.join("twice").exists());
        assert!(!folder.join(format!("{result}.new")).exists());
    }
    let said = side_image(folder, "image", "other", "6.2").expect("it is made");
    assert!(said.contains("kernel 6.2 has no xen-pciback"), "{said}");
    let said = side_image(folder, "image", "other", "6.3").expect("it is made");
    assert!(!said.contains("xen-pciback"), "{said}");
}
