//! `make install`: everything where a distribution expects it.

mod release;

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

/// The installed files below `root` by their path, with their modes.
fn installed(root: &Path, prefix: &str) -> BTreeMap<String, u32> {
    // Installing builds nothing where the program is there already.
    let program = release::install(&release::program(), root);
    let output = Command::new("make")
        .args(["--no-print-directory", "-C", release::PACKAGE, "install"])
        .args([format!("DESTDIR={}", root.join("image").display()), format!("PREFIX={prefix}"), format!("PROGRAM={}", program.display())])
        .env_remove("MAKEFLAGS")
        .output()
        .expect("make runs");
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

/// The paths of the contract. The hooks stay where their generators look, whatever the prefix is, and name the program where that is.
#[test]
fn puts_everything_where_it_belongs() {
    for prefix in ["/usr", "/usr/local"] {
        let root = tempfile::tempdir().expect("a folder");
        let program = format!("{prefix}/sbin/pciseize");
        let files: Vec<(String, u32)> = installed(root.path(), prefix).into_iter().filter(|(path, _)| !path.contains("/share/doc/")).collect();
        let mut expected = [
            (program.as_str(), 0o755),
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
    }
}
