//! `make install`: everything where a distribution expects it.

mod release;

use std::{
    collections::BTreeMap,
    env, fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::Command,
};

/// `make install` into the folder `image` below `root`.
fn make_install(root: &Path, prefix: &str) -> Command {
    // Installing builds nothing where the program is there already.
    let program = release::install(&release::program(), root);
    let mut make = Command::new("/usr/bin/make");
    make.args(["--no-print-directory", "-C", release::PACKAGE, "install"]);
    make.args([format!("DESTDIR={}", root.join("image").display()), format!("PREFIX={prefix}"), format!("PROGRAM={}", program.display())]);
    make.env_remove("MAKEFLAGS");
    make
}

/// The installed files below `root` by their path, with their modes.
fn installed(root: &Path, mut make: Command) -> BTreeMap<String, u32> {
    let output = make.output().expect("make runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut files = BTreeMap::new();
    list(&root.join("image"), "", &mut files);
    files
}

fn list(folder: &Path, below: &str, files: &mut BTreeMap<String, u32>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("its entry");
        let path = format!("{below}/{}", entry.file_name().to_string_lossy());
        if entry.path().is_dir() {
            list(&entry.path(), &path, files);
        } else {
            files.insert(path, entry.metadata().expect("its mode").permissions().mode() & 0o777);
        }
    }
}

/// The paths of the contract. The hooks stay where their generators look, whatever the prefix is. They and the rule name the program where that is.
#[test]
fn puts_everything_where_it_belongs() {
    for prefix in ["/usr", "/usr/local"] {
        let root = tempfile::tempdir().expect("a folder");
        let program = format!("{prefix}/sbin/pciseize");
        let rules = format!("{prefix}/share/pciseize/10-pciseize.rules");
        let pages = [format!("{prefix}/share/man/man5/pciback.conf.5"), format!("{prefix}/share/man/man8/pciseize.8")];
        let files: Vec<(String, u32)> =
            installed(root.path(), make_install(root.path(), prefix)).into_iter().filter(|(path, _)| !path.contains("/share/doc/")).collect();
        let unit = format!("{prefix}/lib/systemd/system/pciseize.service");
        let completion = format!("{prefix}/share/bash-completion/completions/pciseize");
        let mut expected = [
            (program.as_str(), 0o755),
            (unit.as_str(), 0o644),
            (completion.as_str(), 0o644),
            (rules.as_str(), 0o644),
            (pages[0].as_str(), 0o644),
            (pages[1].as_str(), 0o644),
            ("/usr/lib/dracut/modules.d/50pciseize/0-pciseize.sh", 0o755),
            ("/usr/lib/dracut/modules.d/50pciseize/module-setup.sh", 0o755),
            ("/usr/lib/dracut/modules.d/50pciseize/pciseize.service", 0o644),
            ("/usr/share/initramfs-tools/hooks/pciseize", 0o755),
            ("/usr/share/initramfs-tools/scripts/init-top/00-pciseize", 0o755),
        ]
        .map(|(path, mode)| (path.to_owned(), mode));
        expected.sort();
        assert_eq!(files, expected);
        for hook in ["usr/share/initramfs-tools/hooks/pciseize", "usr/lib/dracut/modules.d/50pciseize/module-setup.sh"] {
            let text = fs::read_to_string(root.path().join("image").join(hook)).expect("the hook");
            assert!(text.lines().any(|line| line == format!("program={program}")), "{hook} names another program");
        }
        let text = fs::read_to_string(root.path().join("image").join(&rules[1..])).expect("the rule");
        assert!(text.contains(&format!(" {program} seize\"")), "the rule runs another program: {text}");
        let text = fs::read_to_string(root.path().join("image").join(&unit[1..])).expect("the unit");
        assert!(text.contains(&format!("\nExecStart={program} seize\n")), "the unit runs another program: {text}");
        for page in pages {
            let text = fs::read_to_string(root.path().join("image").join(&page[1..])).expect("the page");
            assert!(text.contains(".SH NAME"), "{page} is no manual page");
        }
    }
}

/// systemd itself has nothing to say against the unit. The program that it names is not on this machine: another stands in for it.
#[test]
fn the_unit_is_sound() {
    let folder = tempfile::tempdir().expect("a folder");
    let unit = folder.path().join("pciseize.service");
    let text = fs::read_to_string(Path::new(release::PACKAGE).join("systemd/pciseize.service")).expect("the unit");
    fs::write(&unit, text.replace("/usr/sbin/pciseize seize", "/bin/true")).expect("its copy");
    let verify =
        |unit: &Path| Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(unit).output().expect("systemd-analyze runs (make requirements)");
    let output = verify(&unit);
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    // The control.
    fs::write(&unit, text.replace("oneshot", "once")).expect("another copy");
    assert!(!verify(&unit).stderr.is_empty());
}

/// Who has no generator for the manual pages is told so in one sentence, and gets the rest.
#[test]
fn goes_without_manual_pages() {
    let root = tempfile::tempdir().expect("a folder");
    let tools = root.path().join("tools");
    fs::create_dir(&tools).expect("a folder");
    for tool in ["sh", "install", "sed", "mkdir"] {
        let found = env::split_paths(&env::var_os("PATH").expect("a path")).map(|folder| folder.join(tool)).find(|path| path.exists());
        symlink(found.expect(tool), tools.join(tool)).expect("a link");
    }
    let mut make = make_install(root.path(), "/usr");
    make.arg(format!("PAGES={}", root.path().join("pciseize.8").display())).env("PATH", &tools);
    let output = make.output().expect("make runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), said.lines().count(), said.contains("apt install scdoc")), (Some(0), 1, true), "{said}");
    let files = installed(root.path(), make);
    assert!(files.contains_key("/usr/sbin/pciseize") && !files.keys().any(|path| path.contains("/share/man/")), "{files:?}");
}
