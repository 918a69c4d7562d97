//! The link of the release program for 64-bit ARM, where there is no Rust for that: the flags that
//! `build.rs` prints for it, with Debian 12's compiler and musl, on a program in C in place of
//! pciseize. Nothing is booted. `make release-aarch64` builds the real program.

use std::{env, fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use object::{
    Architecture, Object, ObjectSection,
    elf::{FileHeader64, PT_DYNAMIC, PT_INTERP},
    read::elf::{ElfFile64, FileHeader, ProgramHeader},
};
use pciseize::request::source::embedded::SECTION_SIZE;
use tempfile::TempDir;

use crate::lab::cross::Cross;

/// A configuration, a function with the name of one of Rust's panics, and a `main` that with `CALL`
/// calls what a tripwire refuses.
const PROGRAM: &str = r#"
void *malloc(unsigned long);
#define IN(name) __attribute__((section(name)))
IN(".pciseize") const char configuration[2048] = {1};
IN(".text._ZN4core9panicking5panicE") __attribute__((noinline)) void panic(int count) { for (;;); }
int main(int count, char **words) { CALL; return count; }
"#;

/// Without a tripwire's code it links into one static file; with it the link says why it fails.
#[test]
fn the_release_links_for_aarch64_and_its_tripwires_hold() -> Result<()> {
    let cross = Cross::unpack()?;
    let folder = TempDir::new()?;
    fs::write(folder.path().join("program.c"), PROGRAM)?;
    let flags = flags(&cross.musl(), folder.path())?;
    let link = |call: &str| {
        // rustc links without the compiler's own libraries, too.
        let mut arguments = [
            "-Os",
            "-ffunction-sections",
            "-nodefaultlibs",
            "program.c",
            "-o",
        ]
        .map(str::to_owned)
        .to_vec();
        arguments.extend(["program".to_owned(), format!("-DCALL={call}")]);
        arguments.extend_from_slice(&flags);
        let output = cross.gcc(folder.path(), &arguments)?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        anyhow::Ok((output.status.success(), said))
    };

    let (is_linked, said) = link("")?;
    assert!(is_linked, "{said}");
    let program = fs::read(folder.path().join("program"))?;
    let file = ElfFile64::<object::Endianness>::parse(&*program)?;
    assert_eq!(file.architecture(), Architecture::Aarch64);
    let section = file.section_by_name(".pciseize").context("its section")?;
    assert_eq!(section.size(), SECTION_SIZE as u64);
    let header = FileHeader64::<object::Endianness>::parse(&*program)?;
    let endian = header.endian()?;
    for segment in header.program_headers(endian, &*program)? {
        assert!(![PT_INTERP, PT_DYNAMIC].contains(&segment.p_type(endian)));
    }

    for (call, reason) in [
        ("panic(count)", "pciseize: a panic path is linked"),
        (
            "*words = malloc(count)",
            "pciseize: a heap allocator is linked",
        ),
    ] {
        let (is_linked, said) = link(call)?;
        assert!(!is_linked && said.contains(reason), "{call}: {said}");
    }
    Ok(())
}

/// What `build.rs` has the linker told for that architecture: it is run as cargo would run it.
fn flags(musl: &Path, out: &Path) -> Result<Vec<String>> {
    let package = env!("CARGO_MANIFEST_DIR");
    let cargo = env::var_os("CARGO").unwrap_or("cargo".into());
    let built = Command::new(cargo)
        .args(["build", "--release", "--locked", "--bin=pciseize"])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(package)
        .output()?;
    ensure!(built.status.success(), "{built:?}");
    let messages = String::from_utf8(built.stdout)?;
    let script = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["src_path"] == format!("{package}/build.rs"))
        .find_map(|message| message["filenames"][0].as_str().map(str::to_owned))
        .context("no build script among what cargo built")?;
    let output = Command::new(script)
        .current_dir(package)
        .env_remove("PCISEIZE_CONFIG")
        .env_remove("PCISEIZE_TRIPWIRES")
        .env("CARGO_MANIFEST_DIR", package)
        .env("CARGO_CFG_TARGET_ARCH", "aarch64")
        .env("CARGO_CFG_TARGET_ENV", "gnu")
        .env("PROFILE", "release")
        .env("OUT_DIR", out)
        .env("PCISEIZE_MUSL_DIR", musl)
        .output()?;
    ensure!(output.status.success(), "{output:?}");
    let flags = String::from_utf8(output.stdout)?;
    let flag = |line: &str| {
        line.strip_prefix("cargo::rustc-link-arg-bins=")
            .map(str::to_owned)
    };
    Ok(flags.lines().filter_map(flag).collect())
}
