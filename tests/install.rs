//! `make install` puts every file where a distribution expects it, `make uninstall` takes exactly
//! these files away, and no other target installs anything.

mod release;

use std::{
    collections::BTreeMap,
    env, fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::{Command, Output},
};

use tempfile::TempDir;

/// The paths that a user of `make install` may set.
#[derive(Clone, Copy)]
struct Paths {
    prefix: &'static str,
    /// Empty: not set.
    sbindir: &'static str,
    /// Where the program is then.
    program: &'static str,
}

const DEBIAN: Paths = Paths {
    prefix: "/usr",
    sbindir: "",
    program: "/usr/sbin/pciseize",
};
/// Fedora since 42: `/usr/sbin` is a link to `/usr/bin`.
const MERGED_SBIN: Paths = Paths {
    prefix: "/usr",
    sbindir: "/usr/bin",
    program: "/usr/bin/pciseize",
};
const LOCAL: Paths = Paths {
    prefix: "/usr/local",
    sbindir: "",
    program: "/usr/local/sbin/pciseize",
};

/// A target of the Makefile on the folder `image` below `root`.
fn make(root: &Path, paths: Paths, target: &str) -> Command {
    let mut make = Command::new("/usr/bin/make");
    make.args(["--no-print-directory", "-C", release::PACKAGE, target]);
    make.arg(format!("DESTDIR={}", root.join("image").display()));
    make.arg(format!("PREFIX={}", paths.prefix));
    make.args((!paths.sbindir.is_empty()).then(|| format!("SBINDIR={}", paths.sbindir)));
    // Installing builds nothing if the program is there already.
    make.arg(format!("PROGRAM={}", root.join("pciseize").display()));
    make.env_remove("MAKEFLAGS");
    make
}

fn succeed(mut command: Command) -> Output {
    let output = command.output().expect("the command runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// A folder with the finished program in it, and an empty image.
fn workplace() -> TempDir {
    let root = tempfile::tempdir().expect("a folder");
    release::install(&release::program(), root.path());
    fs::create_dir(root.path().join("image")).expect("the image");
    root
}

/// The files and folders in the image by their path, with their modes. A folder's mode is 0.
fn content(root: &Path) -> BTreeMap<String, u32> {
    let mut found = BTreeMap::new();
    list(&root.join("image"), "", &mut found);
    found
}

fn list(folder: &Path, below: &str, found: &mut BTreeMap<String, u32>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("its entry");
        let path = format!("{below}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            list(&entry.path(), &path, found);
            found.insert(path, 0);
        } else {
            found.insert(
                path,
                entry.metadata().expect("its mode").permissions().mode() & 0o777,
            );
        }
    }
}

/// The files that have to be there, but for those in the folder of documents.
fn expected(paths: Paths) -> BTreeMap<String, u32> {
    let generators = [
        ("/usr/lib/dracut/modules.d/50pciseize/0-pciseize.sh", 0o755),
        (
            "/usr/lib/dracut/modules.d/50pciseize/module-setup.sh",
            0o755,
        ),
        (
            "/usr/lib/dracut/modules.d/50pciseize/pciseize.service",
            0o644,
        ),
        ("/usr/share/initramfs-tools/hooks/pciseize", 0o755),
        (
            "/usr/share/initramfs-tools/scripts/init-top/00-pciseize",
            0o755,
        ),
        ("/usr/lib/initcpio/hooks/pciseize", 0o644),
        ("/usr/lib/initcpio/install/pciseize", 0o644),
    ];
    let below_prefix = [
        "/lib/systemd/system/pciseize.service",
        "/lib/systemd/system/pciseize-names.service",
        "/share/bash-completion/completions/pciseize",
        "/share/fish/vendor_completions.d/pciseize.fish",
        "/share/man/man5/pciback.conf.5",
        "/share/man/man8/pciseize.8",
        "/share/pciseize/10-pciseize.rules",
        "/share/pciseize/initrd.service",
        "/share/pciseize/pciseize.files",
        "/share/pciseize/pciseize.modules",
        "/share/pciseize/schema.json",
    ];
    let scripts = [
        "/share/pciseize/pciseize.openrc",
        "/share/pciseize/pciseize.sysvinit",
    ];
    let mut files = BTreeMap::from([(paths.program.to_owned(), 0o755)]);
    files.extend(generators.map(|(path, mode)| (path.to_owned(), mode)));
    files.extend(below_prefix.map(|path| (format!("{}{path}", paths.prefix), 0o644)));
    files.extend(scripts.map(|path| (format!("{}{path}", paths.prefix), 0o755)));
    files.insert(format!("{}/_pciseize", zsh_folder(paths)), 0o644);
    files
}

/// Where zsh looks for completions. Debian's has a folder of its own name for packages.
fn zsh_folder(paths: Paths) -> String {
    let is_debian = paths.prefix == "/usr" && Path::new("/etc/debian_version").exists();
    let folder = if is_debian {
        "vendor-completions"
    } else {
        "site-functions"
    };
    format!("{}/share/zsh/{folder}", paths.prefix)
}

/// This machine's zsh and fish look where the completions are installed. Fish reads /usr/local as a
/// desktop's session names it.
#[test]
fn the_shells_look_for_completions_there() {
    let home = tempfile::tempdir().expect("a folder");
    let folders = |shell: &str, command: &str| {
        let mut shell = Command::new(shell);
        shell.args(["-c", command]).env("HOME", home.path());
        shell.env("XDG_DATA_DIRS", "/usr/local/share:/usr/share");
        String::from_utf8(succeed(shell).stdout).expect("UTF-8")
    };
    let zsh = folders("zsh", "print -l $fpath");
    let fish = folders("fish", "string join \\n $fish_complete_path");
    for paths in [DEBIAN, MERGED_SBIN, LOCAL] {
        let folder = zsh_folder(paths);
        assert!(zsh.lines().any(|own| own == folder), "{folder}:\n{zsh}");
        let folder = format!("{}/share/fish/vendor_completions.d", paths.prefix);
        assert!(fish.lines().any(|own| own == folder), "{folder}:\n{fish}");
    }
}

/// The paths of the contract. The generators look in one place only, whatever the prefix is.
#[test]
fn puts_everything_where_it_belongs() {
    for paths in [DEBIAN, MERGED_SBIN, LOCAL] {
        let root = workplace();
        succeed(make(root.path(), paths, "install"));
        let (documents, files): (BTreeMap<_, _>, _) = content(root.path())
            .into_iter()
            .filter(|(_, mode)| *mode != 0)
            .partition(|(path, _)| path.contains("/share/doc/"));
        assert_eq!(files, expected(paths));
        for (name, mode) in [
            ("README.md", 0o644),
            ("LICENSE-MIT", 0o644),
            ("pciback.conf.example", 0o644),
            ("check_pciseize", 0o755),
            ("pciseize-textfile", 0o755),
            ("pciseize-fleet", 0o755),
            ("side-image", 0o755),
        ] {
            let path = format!("{}/share/doc/pciseize/{name}", paths.prefix);
            assert_eq!(documents.get(&path), Some(&mode), "{path}");
        }
    }
}

/// What was installed into a folder can be packed and unpacked on another machine, as the guide
/// says: what is there already stays as it is, also a folder that is a link.
#[test]
fn survives_the_way_to_another_machine() {
    let root = workplace();
    let [image, host] = ["image", "host"].map(|name| root.path().join(name));
    succeed(make(root.path(), DEBIAN, "install"));
    fs::create_dir_all(host.join("usr/bin")).expect("a folder");
    symlink("bin", host.join("usr/sbin")).expect("a link");
    let private = fs::Permissions::from_mode(0o711);
    fs::set_permissions(host.join("usr"), private).expect("its mode");

    let tar = |folder: &Path, words: &str| {
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(folder).args(words.split(' '));
        tar.current_dir(root.path());
        succeed(tar)
    };
    tar(&image, "--owner=root --group=root -cf pciseize.tar usr etc");
    let unpack = "--no-overwrite-dir --keep-directory-symlink -xf pciseize.tar";
    tar(&host, unpack);

    assert!(host.join("usr/sbin").is_symlink());
    let mode = |path: &str| {
        let about = fs::metadata(host.join(path)).expect(path);
        about.permissions().mode() & 0o777
    };
    assert_eq!((mode("usr"), mode("usr/bin/pciseize")), (0o711, 0o755));
    assert!(host.join("etc/xen/pciback.conf.d").is_dir());
    let guide = fs::read_to_string(Path::new(release::PACKAGE).join("docs/guide.md"));
    assert!(guide.expect("the guide").contains(unpack));
}

/// Whatever runs the program, or names it, names the one that was installed.
#[test]
fn every_file_names_the_installed_program() {
    for paths in [DEBIAN, MERGED_SBIN, LOCAL] {
        let root = workplace();
        succeed(make(root.path(), paths, "install"));
        let program = paths.program;
        let units = format!("{}/lib/systemd/system/pciseize.service", paths.prefix);
        let naming = units.replace("pciseize.service", "pciseize-names.service");
        let rules = format!("{}/share/pciseize/10-pciseize.rules", paths.prefix);
        let [sysvinit, openrc] = ["sysvinit", "openrc"]
            .map(|init| format!("{}/share/pciseize/pciseize.{init}", paths.prefix));
        let [unit, feature] = ["initrd.service", "pciseize.files"]
            .map(|name| format!("{}/share/pciseize/{name}", paths.prefix));
        let lines = [
            (
                "/usr/lib/initcpio/install/pciseize",
                format!("    local program={program} unit={unit}"),
            ),
            (
                "/usr/lib/initcpio/hooks/pciseize",
                format!("\t{program} seize"),
            ),
            (unit.as_str(), format!("ExecStart={program} seize")),
            (feature.as_str(), program.to_owned()),
            (
                "/usr/share/initramfs-tools/hooks/pciseize",
                format!("program={program}"),
            ),
            (
                "/usr/share/initramfs-tools/scripts/init-top/00-pciseize",
                format!("{program} seize"),
            ),
            (
                "/usr/lib/dracut/modules.d/50pciseize/module-setup.sh",
                format!("program={program}"),
            ),
            (
                "/usr/lib/dracut/modules.d/50pciseize/0-pciseize.sh",
                format!("{program} seize"),
            ),
            (
                "/usr/lib/dracut/modules.d/50pciseize/pciseize.service",
                format!("ExecStart={program} seize"),
            ),
            (units.as_str(), format!("ExecStart={program} seize")),
            (naming.as_str(), format!("ExecStart={program} name-guests")),
            (sysvinit.as_str(), format!("program={program}")),
            (openrc.as_str(), format!("\t{program} seize")),
            (
                rules.as_str(),
                format!("  RUN+=\"{program} seize $kernel\""),
            ),
        ];
        let image = root.path().join("image");
        for (file, line) in lines {
            let text = fs::read_to_string(image.join(&file[1..])).expect(file);
            assert!(
                text.lines().any(|own| own == line),
                "{file} has no line '{line}':\n{text}"
            );
        }
        for (file, mode) in content(root.path()) {
            if mode != 0 && file != program {
                let text = fs::read_to_string(image.join(&file[1..])).expect(&file);
                let left = text
                    .lines()
                    .find(|line| line.contains("@PREFIX@") || line.contains("@SBINDIR@"));
                assert!(
                    left.is_none() || file.contains("/share/doc/"),
                    "{file}: {left:?}"
                );
            }
        }
        let page = image.join(&format!("{}/share/man/man8/pciseize.8", paths.prefix)[1..]);
        let page = fs::read_to_string(page)
            .expect("the page")
            .replace("\\-", "-")
            .replace("\\&", "");
        for name in [program, &units, &naming, &rules, &sysvinit, &openrc, &unit] {
            assert!(
                page.lines().any(|line| line == name),
                "the manual page does not name {name}"
            );
        }
    }
}

/// Other packages' files, the user's configuration and their folders stay; all else goes.
#[test]
fn uninstall_takes_away_what_install_has_put_there() {
    for paths in [DEBIAN, MERGED_SBIN, LOCAL] {
        let root = workplace();
        let image = root.path().join("image");
        let folders = expected(paths)
            .into_keys()
            .filter(|path| !path.contains("50pciseize"));
        let folders = folders.filter(|path| !path.contains("/share/pciseize/"));
        for file in folders.chain([format!("{}/share/doc/pciseize", paths.prefix)]) {
            let other = image.join(&file[1..]).with_file_name("other");
            fs::create_dir_all(other.parent().expect("a folder")).expect("a folder");
            fs::write(other, "another package's").expect("a file");
        }
        fs::create_dir_all(image.join("usr/lib/dracut/modules.d")).expect("a folder");
        fs::create_dir_all(image.join("etc/xen")).expect("a folder");
        fs::write(image.join("etc/xen/pciback.conf"), "03:00.0\n").expect("the configuration");

        let before = content(root.path());
        succeed(make(root.path(), paths, "install"));
        assert!(content(root.path()).len() > before.len() + 12);
        succeed(make(root.path(), paths, "uninstall"));
        assert_eq!(content(root.path()), before);

        // A drop-in of the user's keeps its folder, and a second time is no error.
        succeed(make(root.path(), paths, "install"));
        fs::write(image.join("etc/xen/pciback.conf.d/mine.conf"), "04:00.0\n").expect("a drop-in");
        succeed(make(root.path(), paths, "uninstall"));
        succeed(make(root.path(), paths, "uninstall"));
        assert!(image.join("etc/xen/pciback.conf.d/mine.conf").exists());
        assert_eq!(content(root.path()).len(), before.len() + 2);
    }
}

/// systemd itself has nothing to say against the units. Another program stands in for pciseize,
/// which is not on this machine.
#[test]
fn the_units_are_sound() {
    for (name, command) in [
        ("pciseize.service", "seize"),
        ("pciseize-names.service", "name-guests"),
    ] {
        assert_sound(name, command);
    }
}

/// Has systemd look at the unit that runs this command.
fn assert_sound(name: &str, command: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let unit = folder.path().join(name);
    let template = format!("{}/systemd/{name}.in", release::PACKAGE);
    let text = fs::read_to_string(template).expect("the unit");
    let text = text.replace(&format!("@SBINDIR@/pciseize {command}"), "/bin/true");
    fs::write(&unit, &text).expect("its copy");
    let verify = |unit: &Path| {
        let mut systemd = Command::new("systemd-analyze");
        systemd
            .args(["verify", "--man=no"])
            .arg(unit)
            .output()
            .expect("systemd-analyze runs")
    };
    let output = verify(&unit);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{said}"
    );
    // The control.
    fs::write(&unit, text.replace("oneshot", "once")).expect("another copy");
    assert!(!verify(&unit).stderr.is_empty());
}

/// What a generator gives its hooks, as far as ours use it: initramfs-tools, and dracut.
const INITRAMFS_TOOLS: &str = r#"
    copy_exec() { mkdir -p "$DESTDIR/sbin" && cp "$1" "$DESTDIR/sbin"; }
    copy_file() { cp "$2" "$DESTDIR"; }
    manual_add_modules() { :; }
    modinfo() { :; }
"#;
const DRACUT: &str = r#"
    dwarn() { echo "W: $*" >&2; }
    inst_binary() { mkdir -p "$initdir/sbin" && cp "$1" "$initdir/sbin"; }
    inst_multiple() { :; }
    inst_hook() { :; }
    instmods() { :; }
    modinfo() { :; }
    dracut_module_included() { return 1; }
"#;

/// A program that is of no use, and what the hooks say of it.
struct Useless {
    /// `None`: it is not there.
    script: Option<(&'static str, u32)>,
    /// Whether it gets into the image.
    is_copied: bool,
    said: &'static str,
}

const USELESS: [Useless; 4] = [
    Useless {
        script: None,
        is_copied: false,
        said: "is missing or cannot be executed",
    },
    Useless {
        script: Some(("#!/bin/sh\n", 0o644)),
        is_copied: false,
        said: "is missing or cannot be executed",
    },
    Useless {
        script: Some(("#!/bin/sh\necho 8086:2922@0000:00:1f.2\nexit 2\n", 0o755)),
        is_copied: true,
        said: "the controllers that this host boots from cannot be told",
    },
    Useless {
        script: Some(("#!/bin/sh\nkill -KILL $$\n", 0o755)),
        is_copied: true,
        said: "the controllers that this host boots from cannot be told",
    },
];

/// An image is made whatever is wrong with the program: without one, a host may not boot its new
/// kernel. What is wrong is said.
#[test]
fn no_hook_breaks_an_image() {
    let source = |name: &str| {
        let template = Path::new(release::PACKAGE).join(name);
        fs::read_to_string(template).expect(name)
    };
    let functions = ". /usr/share/initramfs-tools/hook-functions";
    let hook = source("initramfs-hooks/hook.in");
    assert!(hook.contains(functions), "{hook}");
    let hook = hook.replace(functions, INITRAMFS_TOOLS);
    let module = source("dracut/50pciseize/module-setup.sh.in");
    // A module that its own check refuses is left out, and that is all.
    let module = format!("{DRACUT}\n{module}\nif check; then installkernel && install; fi\n");
    for (shell, script) in [("sh", hook), ("bash", module)] {
        for useless in USELESS {
            let folder = tempfile::tempdir().expect("a folder");
            let (image, program) = (folder.path().join("image"), folder.path().join("pciseize"));
            fs::create_dir(&image).expect("the image");
            if let Some((text, mode)) = useless.script {
                fs::write(&program, text).expect("the program");
                fs::set_permissions(&program, fs::Permissions::from_mode(mode)).expect("its mode");
            }
            let file = folder.path().join("hook");
            let text = script.replace("@SBINDIR@", &folder.path().display().to_string());
            fs::write(&file, text).expect("the hook");
            let output = Command::new(shell)
                .arg(&file)
                .envs([("version", "6.1"), ("kernel", "6.1"), ("hostonly", "-h")])
                .envs([("DESTDIR", &image), ("initdir", &image), ("moddir", &image)])
                .output()
                .expect("the shell runs");
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{shell}: {said}");
            let is_told = |line: &str| line.starts_with("W: pciseize: ");
            assert!(
                said.lines()
                    .any(|line| is_told(line) && line.contains(useless.said)),
                "{said}"
            );
            assert_eq!(
                image.join("sbin/pciseize").exists(),
                useless.is_copied,
                "{said}"
            );
            assert!(!image.join("etc/xen/pciback.boot").exists(), "half a list");
        }
    }
}

/// dracut is given each drop-in by its own name: up to 051 it takes a pattern for the name of one
/// file, and puts none into the image.
#[test]
fn dracut_is_given_each_drop_in_by_name() {
    let template = Path::new(release::PACKAGE).join("dracut/50pciseize/module-setup.sh.in");
    let module = fs::read_to_string(template).expect("the module");
    let module = module.replace("@SBINDIR@", "/usr/sbin");
    let keeps = "inst_multiple() { printf '%s\\n' \"$@\"; }";
    let script = format!("{DRACUT}\n{keeps}\n{module}\ninstall\n");
    let root = tempfile::tempdir().expect("a folder");
    let folder = root.path().join("etc/xen/pciback.conf.d");
    fs::create_dir_all(&folder).expect("the folder of drop-ins");
    for name in ["10-a card.conf", "50-added.conf", "50-added.conf.old"] {
        fs::write(folder.join(name), "").expect(name);
    }
    let output = Command::new("bash")
        .args(["-c", &script])
        .envs([("dracutsysrootdir", root.path()), ("initdir", root.path())])
        .env("moddir", "/")
        .output()
        .expect("bash runs");
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    let files: Vec<&str> = said.lines().filter(|line| line.contains("/xen/")).collect();
    let expected = [
        "/etc/xen/pciback.conf",
        "/etc/xen/pciback.conf.d/10-a card.conf",
        "/etc/xen/pciback.conf.d/50-added.conf",
    ];
    assert_eq!(files, expected, "{said}");
}

/// Without scdoc, which makes the manual pages, everything else is installed, and one line says so.
#[test]
fn goes_without_manual_pages() {
    let root = workplace();
    let tools = root.path().join("tools");
    fs::create_dir(&tools).expect("a folder");
    for tool in ["sh", "install", "sed", "mkdir", "mv"] {
        let path = env::var_os("PATH").expect("a path");
        let found = env::split_paths(&path)
            .map(|folder| folder.join(tool))
            .find(|p| p.exists());
        symlink(found.expect(tool), tools.join(tool)).expect("a link");
    }
    let ready = format!("READY={}", root.path().join("ready").display());
    let mut install = make(root.path(), DEBIAN, "install");
    install.arg(ready).env("PATH", &tools);
    let said = String::from_utf8(succeed(install).stderr).expect("UTF-8");
    assert_eq!(
        (said.lines().count(), said.contains("make requirements")),
        (1, true),
        "{said}"
    );
    let files = content(root.path());
    assert!(files.contains_key("/usr/sbin/pciseize"), "{files:?}");
    assert!(
        !files.keys().any(|path| path.contains("/share/man")),
        "{files:?}"
    );
}

/// The script of an init is where that init looks only if it is asked for, and goes likewise.
#[test]
fn installs_the_script_of_one_init() {
    for (init, first) in [("sysvinit", "#!/bin/sh"), ("openrc", "#!/sbin/openrc-run")] {
        let root = workplace();
        let script = root.path().join("image/etc/init.d/pciseize");
        let run = |target| {
            let mut make = make(root.path(), DEBIAN, target);
            make.arg(format!("INIT={init}"));
            succeed(make)
        };
        run("install");
        let text = fs::read_to_string(&script).expect("the script");
        assert_eq!(text.lines().next(), Some(first));
        assert_eq!(
            content(root.path()).get("/etc/init.d/pciseize"),
            Some(&0o755)
        );
        run("uninstall");
        assert!(!script.exists());
    }
}

/// The feature of mkinitfs is where Alpine looks only if it is asked for, and goes likewise.
#[test]
fn installs_the_feature_of_mkinitfs() {
    let root = workplace();
    let features = "/etc/mkinitfs/features.d";
    let run = |target| {
        let mut make = make(root.path(), DEBIAN, target);
        make.arg(format!("MKINITFS={features}"));
        succeed(make)
    };
    run("install");
    for name in ["pciseize.files", "pciseize.modules"] {
        let [file, copy] = [features, "/usr/share/pciseize"].map(|folder| {
            let path = format!("{folder}/{name}");
            fs::read(root.path().join("image").join(&path[1..])).expect(name)
        });
        assert_eq!(file, copy);
    }
    run("uninstall");
    let left = content(root.path());
    assert!(!left.keys().any(|path| path.contains(".files")), "{left:?}");
}

/// Only `requirements`, and the two that a newcomer types first, may install packages.
#[test]
fn no_other_target_installs_a_package() {
    let installs = |target: &str| {
        let mut make = Command::new("/usr/bin/make");
        make.args(["--dry-run", "-C", release::PACKAGE, target])
            .env_remove("MAKEFLAGS");
        String::from_utf8(succeed(make).stdout)
            .expect("UTF-8")
            .contains("--install")
    };
    for target in ["requirements", "check", "demo"] {
        assert!(
            installs(target),
            "{target} needs more than a fresh machine has"
        );
    }
    for target in [
        "build",
        "man",
        "install",
        "uninstall",
        "embed",
        "deb",
        "dist",
        "rpm",
    ] {
        assert!(!installs(target), "{target} installs packages");
    }
    for target in [
        "check-fast",
        "check-model",
        "check-fuzz",
        "check-packages",
        "check-packages-sid",
        "check-vm",
        "bench",
        "fuzz",
        "transcript",
    ] {
        assert!(!installs(target), "{target} installs packages");
    }
}

/// A missing package is named, with the command that installs all of them.
#[test]
fn a_missing_package_is_named() {
    let script = Path::new(release::PACKAGE).join("tests/requirements.sh");
    let run = |package: &str| {
        let output = Command::new(&script)
            .arg("coreutils")
            .arg(package)
            .output()
            .expect("it runs");
        (
            output.status.code(),
            String::from_utf8(output.stderr).expect("UTF-8"),
        )
    };
    assert_eq!(run("coreutils"), (Some(0), String::new()));
    let (status, said) = run("no-such-package");
    assert_eq!((status, said.lines().count()), (Some(1), 1), "{said}");
    assert!(
        said.contains(" no-such-package;") && said.contains("make requirements"),
        "{said}"
    );
}
