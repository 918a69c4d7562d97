//! The finished program: one small static file that needs nothing, and that cannot be linked when a panic or the heap gets in.

mod release;

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::Path,
    process::{Command, Output},
};

use object::{
    Object, ObjectSection,
    elf::{FileHeader64, PT_DYNAMIC, PT_INTERP, PT_LOAD},
    read::elf::{ElfFile64, FileHeader, ProgramHeader},
};
use pciseize::request::embedded::{END_MARK, SECTION_SIZE};
use release::Workshop;

/// Most bytes of the program. It is in every initramfs, and read by the boot loader each time; what is small can also be read by people.
const SIZE_LIMIT: usize = 64 << 10;

#[test]
fn is_small() {
    let size = release::program().len();
    assert!(size <= SIZE_LIMIT, "the program has {size} bytes, {SIZE_LIMIT} are allowed");
}

/// Neither an interpreter nor a dynamic section: the kernel alone starts it.
#[test]
fn is_static() {
    let program = release::program();
    let header = FileHeader64::<object::Endianness>::parse(&*program).expect("ELF, 64 bits");
    let endian = header.endian().expect("its byte order");
    let kinds: Vec<_> = header.program_headers(endian, &*program).expect("its segments").iter().map(|segment| segment.p_type(endian)).collect();
    assert!(kinds.contains(&PT_LOAD), "{kinds:?}");
    assert!(!kinds.contains(&PT_INTERP) && !kinds.contains(&PT_DYNAMIC), "{kinds:?}");
}

#[test]
fn carries_one_configuration() {
    let program = release::program();
    let file = ElfFile64::<object::Endianness>::parse(&*program).expect("ELF, 64 bits");
    let sections: Vec<_> = file.sections().filter(|section| section.name() == Ok(".pciseize")).collect();
    let [section] = sections.as_slice() else { panic!("{} sections .pciseize", sections.len()) };
    let content = section.data().expect("its content");
    assert_eq!(content.len(), SECTION_SIZE);
    assert!(content.ends_with(END_MARK));
}

#[test]
fn tells_how_it_is_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = release::install(&release::program(), folder.path());
    let output = Command::new(&program).arg("--help").output().expect("it runs");
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stdout), pciseize::cli::HELP);
}

/// With nothing around it but itself: no environment, no file, no folder, and then without standard streams too.
#[test]
fn needs_nothing() {
    let root = tempfile::tempdir().expect("a folder");
    release::install(&release::program(), root.path());
    let report = root.path().join("run/pciseize/report");

    let output = alone(root.path(), "exec \"$@\"", "seize");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "pciseize: not a Xen dom0: no device is touched\n");
    let written = fs::read(&report).expect("the report");
    assert!(written.starts_with(b"{\"schema\":1,\"dom0\":false,"));

    fs::remove_file(&report).expect("away with it");
    for streams in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        for word in ["seize", "--help"] {
            let output = alone(root.path(), &format!("exec \"$@\" {streams}"), word);
            // A help that nobody can read is a failure; a seizure does not depend on who listens.
            let is_unread = word == "--help" && format!(" {streams}").contains(" >&-");
            assert_eq!(output.status.code(), Some(i32::from(is_unread)), "{word} {streams}: {output:?}");
        }
        // Nothing that was to be said has gone into a file that happened to have the stream's number.
        assert_eq!(fs::read(&report).expect("the report"), written, "{streams}");
        fs::remove_file(&report).expect("away with it");
    }
}

/// Whoever reads the messages goes away at the first one: the seizure goes on to its end all the same.
#[test]
fn goes_on_when_nobody_listens() {
    let root = tempfile::tempdir().expect("a folder");
    let program = release::install(&release::program(), root.path());
    for (path, text) in [("sys/hypervisor/properties/features", "00000800\n"), ("etc/xen/pciback.conf", "bad\n0000:00:04.0\n")] {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().expect("its folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    // The reader's end of the pipe is closed before the first message comes.
    let (reader, writer) = io::pipe().expect("a pipe");
    drop(reader);
    let mut command = Command::new(&program);
    command.arg("--root").arg(root.path()).arg("seize").stdout(writer.try_clone().expect("its end")).stderr(writer);
    // Not all is as asked.
    assert_eq!(command.status().expect("it runs").code(), Some(1));
    let report = fs::read_to_string(root.path().join("run/pciseize/report")).expect("the report");
    assert!(report.contains("0000:00:04.0"), "{report}");
}

/// Runs `/pciseize WORD` with `root` as its root and no environment, through a shell that arranges the streams.
fn alone(root: &Path, script: &str, word: &str) -> Output {
    // Who is not root becomes root in a name space of its own.
    let is_root = fs::metadata("/proc/self").expect("who runs this").uid() == 0;
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", "env", "-i", "unshare"]);
    if !is_root {
        command.arg("--map-root-user");
    }
    command.arg("--root").arg(root).args(["/pciseize", word]).output().expect("sh runs")
}

/// A line of `src/main.rs` behind which the tests put what must not be linked.
const PLACE: &str = "fn run(words: impl Iterator<Item = &'static CStr>, has_no_color: bool) -> Exit {\n";

/// A number that the compiler does not know, for those lines.
const COUNT: &str = "    let count: usize = core::hint::black_box(7);\n";

#[test]
fn links_as_a_copy() {
    // Without this the failures below could come from the copying.
    patched("    core::hint::black_box(count);\n").unwrap_or_else(|messages| panic!("the copy does not build:\n{messages}"));
}

/// A panic brings in all of std, and with it the heap: here both sentences are to be read.
#[test]
fn does_not_link_with_a_panic() {
    let messages = patched("    core::hint::black_box([1, 2, 3][count]);\n").expect_err("a panic path was linked");
    assert!(messages.contains("pciseize: a panic path is linked"), "{messages}");
}

/// An allocation that reports its failure instead of panicking: the heap alone.
#[test]
fn does_not_link_with_the_heap() {
    let line = "    let mut heap = std::vec::Vec::<u8>::new();\n    core::hint::black_box((heap.try_reserve_exact(count).is_ok(), heap));\n";
    let messages = patched(line).expect_err("the heap was linked");
    assert!(messages.contains("pciseize: a heap allocator is linked"), "{messages}");
    assert!(!messages.contains("a panic path is linked"), "{messages}");
}

#[test]
fn names_the_package_that_is_missing() {
    let messages = release::build(&[("PCISEIZE_MUSL_DIR", Path::new("/nonexistent"))]).map(drop).expect_err("there is no musl");
    let errors: Vec<&str> = messages.lines().filter(|line| line.starts_with("error: pciseize")).collect();
    let [error] = errors.as_slice() else { panic!("not one sentence:\n{messages}") };
    assert!(error.contains("/nonexistent/libc.a is missing: install the package musl-dev"), "{error}");
}

/// Builds a copy of this package with a line more in its `main`.
fn patched(line: &str) -> Result<(), String> {
    let workshop = Workshop::open("patched");
    let package = workshop.folder.join("package");
    let _ = fs::remove_dir_all(&package);
    copy_tree(Path::new(release::PACKAGE), &package).expect("the package is copied");
    let main = package.join("src/main.rs");
    let text = fs::read_to_string(&main).expect("src/main.rs");
    assert_eq!(text.matches(PLACE).count(), 1, "src/main.rs has changed: find another line to put it behind");
    fs::write(&main, text.replace(PLACE, &format!("{PLACE}{COUNT}{line}"))).expect("src/main.rs is written");
    // Cargo goes by the times of the files, and would take what it built of the copy before this one.
    let cleaned = workshop.cargo("clean", &package).args(["--package", "pciseize"]).output().expect("cargo runs");
    assert!(cleaned.status.success(), "{}", String::from_utf8_lossy(&cleaned.stderr));
    workshop.build(&package, &[]).map(drop)
}

/// Copies what cargo needs: no hidden files, and nothing that was built.
fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        if name.to_string_lossy().starts_with('.') || name == "target" || name == "cases" {
            continue;
        }
        if path.is_dir() {
            copy_tree(&path, &to.join(name))?;
        } else {
            fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}
