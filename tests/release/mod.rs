//! Builds the release program for the tests of the finished file.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

/// The folder of this package.
pub const PACKAGE: &str = env!("CARGO_MANIFEST_DIR");

/// A target folder of its own below the usual one. Only one build runs at a time, because all
/// builds write the program to the same place.
pub struct Workshop {
    pub folder: PathBuf,
    _turn: File,
}

impl Workshop {
    /// Opens the folder of this name, and waits until no other build uses it.
    pub fn open(name: &str) -> Workshop {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).expect("the workshop's folder");
        let turn = File::create(folder.join("turn")).expect("a lock file");
        turn.lock().expect("the turn of this build");
        Workshop {
            folder,
            _turn: turn,
        }
    }

    /// Builds the package in `package` as users build it, with further environment variables.
    /// Returns the program or, on failure, the output of cargo.
    pub fn build(&self, package: &Path, variables: &[(&str, &Path)]) -> Result<Vec<u8>, String> {
        let mut cargo = self.cargo("build", package);
        cargo
            .args([
                "--locked",
                "--bin",
                "pciseize",
                "--message-format",
                "json-render-diagnostics",
            ])
            .envs(variables.iter().copied());
        let output = cargo.output().expect("cargo runs");
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let messages = String::from_utf8(output.stdout).expect("JSON");
        let program = messages.lines().find_map(|line| {
            let message: serde_json::Value =
                serde_json::from_str(line).expect("a message of cargo's");
            message["executable"].as_str().map(PathBuf::from)
        });
        Ok(fs::read(program.expect("the program among what cargo built")).expect("the program"))
    }

    /// A cargo command on the release profile of the package.
    pub fn cargo(&self, command: &str, package: &Path) -> Command {
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
        cargo
            .args([command, "--release", "--target-dir"])
            .arg(self.folder.join("target"))
            .current_dir(package);
        // The configuration of another test or of the user.
        cargo.env_remove("PCISEIZE_CONFIG");
        cargo
    }
}

/// Builds this package with further environment variables, and returns the program.
pub fn build(variables: &[(&str, &Path)]) -> Result<Vec<u8>, String> {
    Workshop::open("release").build(Path::new(PACKAGE), variables)
}

/// Builds this package, and returns the program.
pub fn program() -> Vec<u8> {
    build(&[]).unwrap_or_else(|messages| panic!("the release build failed:\n{messages}"))
}

/// Writes an executable program into `folder`.
pub fn install(program: &[u8], folder: &Path) -> PathBuf {
    let path = folder.join("pciseize");
    let content = folder.join("pciseize.content");
    fs::write(&content, program).expect("the program is written");
    // Another process writes the file. If this one did, a process that another test starts at that
    // moment could inherit the open file, and the program could not run ("Text file busy").
    let status = Command::new("install")
        .args(["-m", "755"])
        .args([&content, &path])
        .status()
        .expect("install runs");
    assert!(status.success());
    fs::remove_file(&content).expect("the copy goes");
    path
}
