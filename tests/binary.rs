//! The finished program: one small static file that needs no other, and that does not link once a
//! panic or the heap gets in.

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
use pciseize::{
    cli::options::print_help,
    request::source::embedded::{END_MARK, SECTION_SIZE},
};
use release::Workshop;

/// The most bytes of the program. The boot loader reads the program with every initramfs, and
/// people can read a small one.
const SIZE_LIMIT: usize = 240 << 10;

#[test]
fn is_small() {
    let size = release::program().len();
    assert!(
        size <= SIZE_LIMIT,
        "the program has {size} bytes, {SIZE_LIMIT} are allowed"
    );
}

/// The file has neither an interpreter nor a dynamic section: the kernel alone can start it.
#[test]
fn is_static() {
    let program = release::program();
    let header = FileHeader64::<object::Endianness>::parse(&*program).expect("ELF, 64 bits");
    let endian = header.endian().expect("its byte order");
    let kinds: Vec<_> = header
        .program_headers(endian, &*program)
        .expect("its segments")
        .iter()
        .map(|segment| segment.p_type(endian))
        .collect();
    assert!(kinds.contains(&PT_LOAD), "{kinds:?}");
    assert!(
        !kinds.contains(&PT_INTERP) && !kinds.contains(&PT_DYNAMIC),
        "{kinds:?}"
    );
}

#[test]
fn carries_one_configuration() {
    let program = release::program();
    let file = ElfFile64::<object::Endianness>::parse(&*program).expect("ELF, 64 bits");
    let sections: Vec<_> = file
        .sections()
        .filter(|section| section.name() == Ok(".pciseize"))
        .collect();
    let [section] = sections.as_slice() else {
        panic!("{} sections .pciseize", sections.len())
    };
    let content = section.data().expect("its content");
    assert_eq!(content.len(), SECTION_SIZE);
    assert!(content.ends_with(END_MARK));
}

#[test]
fn tells_how_it_is_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = release::install(&release::program(), folder.path());
    let output = Command::new(&program)
        .arg("--help")
        .output()
        .expect("it runs");
    assert!(output.status.success());
    let mut help = Vec::new();
    let mut out = |bytes: &[u8]| {
        help.extend_from_slice(bytes);
        Ok(())
    };
    print_help(&mut out).expect("a vector takes everything");
    assert_eq!(output.stdout, help);
}

/// The program runs without environment, files and folders, and then without standard streams too.
#[test]
fn needs_nothing() {
    let root = tempfile::tempdir().expect("a folder");
    release::install(&release::program(), root.path());
    let report = root.path().join("run/pciseize/report");

    let output = alone(root.path(), "exec \"$@\"", "seize");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "pciseize: not a Xen dom0: no device is touched\n"
    );
    let written = fs::read(&report).expect("the report");
    assert!(written.starts_with(b"{\"schema\":1,\"dom0\":false,"));

    fs::remove_file(&report).expect("away with it");
    for streams in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        for word in ["seize", "--help"] {
            let output = alone(root.path(), &format!("exec \"$@\" {streams}"), word);
            // An unread help is a failure; a seizure does not depend on a reader.
            let is_unread = word == "--help" && format!(" {streams}").contains(" >&-");
            assert_eq!(
                output.status.code(),
                Some(i32::from(is_unread)),
                "{word} {streams}: {output:?}"
            );
        }
        // No message was written into a file that happened to get the number of a closed stream.
        assert_eq!(fs::read(&report).expect("the report"), written, "{streams}");
        fs::remove_file(&report).expect("away with it");
    }
}

/// If the reader of the messages leaves after the first one, the seizure continues to its end.
#[test]
fn goes_on_when_nobody_listens() {
    let root = tempfile::tempdir().expect("a folder");
    let program = release::install(&release::program(), root.path());
    for (path, text) in [
        ("sys/hypervisor/properties/features", "00000800\n"),
        ("etc/xen/pciback.conf", "bad\n0000:00:04.0\n"),
    ] {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().expect("its folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
    // The pipe's reading end is closed before the first message is written.
    let (reader, writer) = io::pipe().expect("a pipe");
    drop(reader);
    let mut command = Command::new(&program);
    command
        .arg("--root")
        .arg(root.path())
        .arg("seize")
        .stdout(writer.try_clone().expect("its end"))
        .stderr(writer);
    // Status 1: not every device is as asked.
    assert_eq!(command.status().expect("it runs").code(), Some(1));
    let report = fs::read_to_string(root.path().join("run/pciseize/report")).expect("the report");
    assert!(report.contains("0000:00:04.0"), "{report}");
}

/// Linux before 5.6 can keep paths below a folder only for root. Where it cannot, nothing is read
/// at all, and that is said.
#[test]
fn keeps_to_a_root_or_leaves_it_alone() {
    let root = tempfile::tempdir().expect("a folder");
    for folder in ["etc/xen", "elsewhere"] {
        fs::create_dir_all(root.path().join(folder)).expect("a folder");
    }
    fs::write(root.path().join("elsewhere/conf"), "03:00.0\n").expect("a file");
    let link = root.path().join("etc/xen/pciback.conf");
    std::os::unix::fs::symlink("/elsewhere/conf", link).expect("a link");
    let run = |injected: &[&str]| {
        let output = Command::new("unshare")
            .args(["--map-root-user", "strace", "-qq", "-o", "/dev/null"])
            .args(injected.iter().flat_map(|call| ["-e", call]))
            .args([env!("CARGO_BIN_EXE_pciseize"), "--root"])
            .arg(root.path())
            .arg("check")
            .output()
            .expect("strace runs");
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned())
    };
    let (unknown, forbidden) = ("inject=openat2:error=ENOSYS", "inject=chroot:error=EPERM");
    let kept = [
        "items: 1, problems: 0 (pciseize plan looks at the devices)\n".to_owned(),
        String::new(),
    ];
    assert_eq!(run(&["trace=openat2"]), kept);
    assert_eq!(run(&[unknown]), kept);
    // Somebody else renames something, again and again.
    let raced = "inject=openat2:error=EAGAIN:when=2..40";
    assert_eq!(run(&[raced]), kept);
    let [printed, said] = run(&[unknown, forbidden]);
    let why = ": ENOSYS (38): this kernel cannot keep paths below a folder; run as root, or with";
    assert!(printed.is_empty() && said.lines().count() == 1, "{said}");
    assert!(said.contains(why), "{said}");
}

/// Runs `/pciseize WORD` with `root` as its root and without environment, in a shell that sets up
/// the streams.
fn alone(root: &Path, script: &str, word: &str) -> Output {
    // Any other user becomes root in a user namespace.
    let is_root = fs::metadata("/proc/self").expect("who runs this").uid() == 0;
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", "env", "-i", "unshare"]);
    if !is_root {
        command.arg("--map-root-user");
    }
    command
        .arg("--root")
        .arg(root)
        .args(["/pciseize", word])
        .output()
        .expect("sh runs")
}

/// A line of `src/main.rs`. The tests insert code after it that must not link.
const PLACE: &str = "fn run(arguments: &Arguments) -> Exit {\n";

/// A number that the compiler cannot know, for that code.
const COUNT: &str = "    let count: usize = core::hint::black_box(7);\n";

#[test]
fn links_as_a_copy() {
    // The control: without it, the failures below could come from the copying.
    patched("    core::hint::black_box(count);\n", &[])
        .unwrap_or_else(|messages| panic!("the copy does not build:\n{messages}"));
}

/// A panic pulls in all of std, and the heap with it, so both error messages appear.
#[test]
fn does_not_link_with_a_panic() {
    let messages = patched(PANIC, &[]).expect_err("a panic path was linked");
    assert!(
        messages.contains("pciseize: a panic path is linked"),
        "{messages}"
    );
}

/// An allocation that returns its failure instead of panicking pulls in only the heap.
#[test]
fn does_not_link_with_the_heap() {
    let line = "    let mut heap = std::vec::Vec::<u8>::new();
    core::hint::black_box((heap.try_reserve_exact(count).is_ok(), heap));\n";
    let messages = patched(line, &[]).expect_err("the heap was linked");
    assert!(
        messages.contains("pciseize: a heap allocator is linked"),
        "{messages}"
    );
    assert!(!messages.contains("a panic path is linked"), "{messages}");
}

#[test]
fn names_the_package_that_is_missing() {
    let messages = release::build(&[("PCISEIZE_MUSL_DIR", Path::new("/nonexistent"))])
        .map(drop)
        .expect_err("there is no musl");
    let errors: Vec<&str> = messages
        .lines()
        .filter(|line| line.starts_with("error: pciseize"))
        .collect();
    let [error] = errors.as_slice() else {
        panic!("not one sentence:\n{messages}")
    };
    assert!(
        error.contains("/nonexistent/libc.a is missing: install the package musl-dev"),
        "{error}"
    );
}

/// A line that can panic.
const PANIC: &str = "    core::hint::black_box([1, 2, 3][count]);\n";

/// What `make why-panic` does, on a program with a panic path and on the program as it is.
#[test]
fn why_panic_names_the_caller() {
    let variables = [
        ("PCISEIZE_TRIPWIRES", Path::new("off")),
        ("CARGO_PROFILE_RELEASE_STRIP", Path::new("none")),
    ];
    let why = |program: &[u8]| {
        let folder = tempfile::tempdir().expect("a folder");
        let program = release::install(program, folder.path());
        let script = Path::new(release::PACKAGE).join("tests/release/why-panic.sh");
        let output = Command::new("sh")
            .arg(script)
            .arg(program)
            .output()
            .expect("sh runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let program = patched(PANIC, &variables).expect("without tripwires a panic path is linked");
    let callers = why(&program);
    // The compiler may put `run` into `main` or not.
    let is_named = ["main", "run"].iter().any(|caller| {
        callers.contains(&format!(
            "{caller} calls core::panicking::panic_bounds_check\n"
        ))
    });
    assert!(is_named, "{callers}");

    let program = release::build(&variables).expect("the program is built");
    assert!(
        why(&program).starts_with("No panic path"),
        "the program itself has one"
    );
}

/// Builds a copy of this package with a line more in its `main`, and further environment variables.
fn patched(line: &str, variables: &[(&str, &Path)]) -> Result<Vec<u8>, String> {
    let workshop = Workshop::open("patched");
    let package = workshop.folder.join("package");
    let _ = fs::remove_dir_all(&package);
    copy_tree(Path::new(release::PACKAGE), &package).expect("the package is copied");
    let main = package.join("src/main.rs");
    let text = fs::read_to_string(&main).expect("src/main.rs");
    assert_eq!(
        text.matches(PLACE).count(),
        1,
        "src/main.rs has changed: find another line to put it behind"
    );
    fs::write(&main, text.replace(PLACE, &format!("{PLACE}{COUNT}{line}")))
        .expect("src/main.rs is written");
    // Cargo compares the times of files, and would reuse the build of the last copy.
    let cleaned = workshop
        .cargo("clean", &package)
        .args(["--package", "pciseize"])
        .output()
        .expect("cargo runs");
    assert!(
        cleaned.status.success(),
        "{}",
        String::from_utf8_lossy(&cleaned.stderr)
    );
    workshop.build(&package, variables)
}

/// Copies the files that cargo needs: no hidden ones, and no build results.
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
