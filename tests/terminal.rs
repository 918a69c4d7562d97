//! `list` on a terminal: it uses the terminal's width, and colours if these are wanted.

use std::{fs, os::unix::fs::symlink, path::Path, process::Command};

/// A machine with a bridge, a disk controller that dom0 needs, a device with pciback, and an
/// ordinary device.
fn machine(root: &Path) {
    let write = |path: &str, text: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("its folder");
        fs::write(path, text).expect("a file");
    };
    for (address, ids, class, driver) in [
        ("0000:00:00.0", "v00008086d000029C0", "bc06sc00i00", None),
        (
            "0000:00:04.0",
            "v00008086d000010D3",
            "bc02sc00i00",
            Some("pciback"),
        ),
        (
            "0000:00:05.0",
            "v00008086d000010D3",
            "bc02sc00i00",
            Some("e1000e"),
        ),
        (
            "0000:00:1f.2",
            "v00008086d00002922",
            "bc01sc06i01",
            Some("ahci"),
        ),
    ] {
        write(
            &format!("sys/bus/pci/devices/{address}/modalias"),
            &format!("pci:{ids}sv00001AF4sd00001100{class}\n"),
        );
        if let Some(driver) = driver {
            symlink(
                format!("../../drivers/{driver}"),
                root.join(format!("sys/bus/pci/devices/{address}/driver")),
            )
            .expect("a link");
        }
    }
    write(
        "usr/share/misc/pci.ids",
        "8086  Intel Corporation\n\
         \t10d3  82574L Gigabit Network Connection\n\
         \t2922  82801IR/IO/IH (ICH9R/DO/DH) 6 port SATA Controller [AHCI mode]\n",
    );
    write(
        "proc/self/mountinfo",
        "27 1 8:2 / / rw - ext4 /dev/sda2 rw\n",
    );
    fs::create_dir_all(root.join("sys/dev/block")).expect("a folder");
    symlink(
        "../../devices/pci0000:00/0000:00:1f.2/ata1/host0/target0:0:0/0:0:0:0/block/sda/sda2",
        root.join("sys/dev/block/8:2"),
    )
    .expect("a link");
}

/// The output of `list` on a terminal with so many columns.
fn on_a_terminal(root: &Path, columns: usize, no_color: &str) -> String {
    let command = format!(
        "stty cols {columns} && exec '{}' --root '{}' list",
        env!("CARGO_BIN_EXE_pciseize"),
        root.display()
    );
    let output = Command::new("script")
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .env("NO_COLOR", no_color)
        .output()
        .expect("script runs");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout)
        .expect("UTF-8")
        .replace('\r', "")
}

/// The text without its colours.
fn plain(text: &str) -> String {
    ["\x1b[32m", "\x1b[33m", "\x1b[2m", "\x1b[m"]
        .iter()
        .fold(text.to_owned(), |text, colour| text.replace(colour, ""))
}

#[test]
fn a_list_is_as_wide_as_the_terminal() {
    let root = tempfile::tempdir().expect("a folder");
    machine(root.path());
    let mut heights = Vec::new();
    for columns in [60, 80, 132, 200] {
        let text = plain(&on_a_terminal(root.path(), columns, ""));
        assert!(
            text.lines().all(|line| line.len() <= columns),
            "{columns} columns:\n{text}"
        );
        // Wrapping changes no words, and wrapped lines are comments.
        assert!(
            text.lines()
                .all(|line| line.starts_with("#   ") || line.contains("# 0000:00:")),
            "{columns} columns:\n{text}"
        );
        let words = text.replace("\n#   ", " ");
        assert!(
            words.contains("holds /") && words.contains("with pciback; twin of 0000:00:05.0"),
            "{text}"
        );
        heights.push(text.lines().count());
    }
    assert!(
        heights.is_sorted_by(|one, other| one >= other) && heights[0] > 4 && heights[3] == 4,
        "{heights:?}"
    );
}

#[test]
fn a_list_has_colours_where_these_are_wanted() {
    let root = tempfile::tempdir().expect("a folder");
    machine(root.path());
    let coloured = on_a_terminal(root.path(), 200, "");
    let lines: Vec<&str> = coloured.lines().collect();
    for (line, colour) in lines.iter().zip([
        "\x1b[2m#0000:00:00.0",
        "\x1b[m\x1b[32m8086:10d3@0000:00:04.0",
        "\x1b[m8086:10d3@0000:00:05.0",
        "\x1b[m\x1b[33m0000:00:1f.2",
    ]) {
        assert!(line.starts_with(colour), "{lines:#?}");
    }
    let plain_text = on_a_terminal(root.path(), 200, "1");
    assert!(!plain_text.contains('\x1b'), "{plain_text:?}");
    assert_eq!(plain(&coloured), plain_text);
    // Into a pipe, `list` prints one line for each function, and only text.
    let output = Command::new(env!("CARGO_BIN_EXE_pciseize"))
        .arg("--root")
        .arg(root.path())
        .arg("list")
        .output()
        .expect("it runs");
    assert_eq!(String::from_utf8(output.stdout).expect("UTF-8"), plain_text);
}
