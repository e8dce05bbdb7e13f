//! Landlock: which files a tool may touch, and no TCP at all.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetStatus, Scope,
};
use serde::{Deserialize, Serialize};

use super::{Profile, SandboxError};

/// The newest Landlock that this code was tried with (Linux 6.12).
const ABI_TRIED: ABI = ABI::V6;

/// What a dynamically linked FFmpeg needs to start: libraries, the loader's cache, fonts, the
/// shape of the CPUs. Nothing here is anybody's data.
const SYSTEM: &[&str] = &[
    "/usr/lib",
    "/usr/local/lib",
    "/lib",
    "/lib64",
    "/etc/ld.so.cache",
    "/etc/fonts",
    "/usr/share/fonts",
    "/usr/share/fontconfig",
    "/usr/local/share/fonts",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/self",
    "/sys/devices/system",
    "/dev/urandom",
    "/dev/zero",
];

/// What CUDA looks at besides.
const GPU_READ: &[&str] = &[
    "/proc/driver/nvidia",
    "/proc/devices",
    "/proc/modules",
    "/proc/sys/vm",
    "/sys/bus/pci",
    "/sys/devices",
    "/sys/module",
    "/etc/nvidia",
    "/usr/share/nvidia",
    "/usr/local/cuda",
];

/// How far Landlock is enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Landlock {
    /// Every rule.
    Full,
    /// Those that an older kernel knows.
    Partial,
    /// Not at all: the kernel has no Landlock.
    None,
}

/// Restricts this process to the files of `profile` and to becoming `program`.
///
/// # Errors
/// [`SandboxError::Path`] if a path that the profile names cannot be opened.
pub(super) fn restrict(
    profile: &Profile,
    program: Option<PathBuf>,
) -> Result<Landlock, SandboxError> {
    match rules(profile, program) {
        Ok(ruleset) => Ok(match ruleset.restrict_self().map(|status| status.ruleset) {
            Ok(RulesetStatus::FullyEnforced) => Landlock::Full,
            Ok(RulesetStatus::PartiallyEnforced) => Landlock::Partial,
            Ok(RulesetStatus::NotEnforced) | Err(_) => Landlock::None,
        }),
        Err(error) => Err(SandboxError::Path(error.to_string())),
    }
}

fn rules(
    profile: &Profile,
    program: Option<PathBuf>,
) -> Result<RulesetCreated, Box<dyn std::error::Error>> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let everything = AccessFs::from_all(ABI_TRIED);
    // Programs come from `program` alone; the libraries' loader is executed by the kernel.
    let write = everything & !AccessFs::Execute & !AccessFs::IoctlDev;
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(everything)?
        .handle_access(AccessNet::from_all(ABI_TRIED))?
        .scope(Scope::from_all(ABI_TRIED))?
        .create()?;
    for path in SYSTEM {
        ruleset = allow_if_there(ruleset, Path::new(path), read | AccessFs::Execute)?;
    }
    ruleset = allow_if_there(ruleset, Path::new("/dev/null"), read | AccessFs::WriteFile)?;
    if profile.gpu {
        for path in GPU_READ {
            ruleset = allow_if_there(ruleset, Path::new(path), read)?;
        }
        for device in nvidia_devices() {
            ruleset =
                allow_if_there(ruleset, &device, read | AccessFs::WriteFile | AccessFs::IoctlDev)?;
        }
    }
    if let Some(program) = program {
        ruleset = allow(ruleset, &program, AccessFs::ReadFile | AccessFs::Execute)?;
    }
    for path in &profile.read {
        ruleset = allow(ruleset, path, read)?;
    }
    for path in &profile.write {
        ruleset = allow(ruleset, path, write)?;
    }
    Ok(ruleset)
}

fn allow_if_there(
    ruleset: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, Box<dyn std::error::Error>> {
    if path.exists() { allow(ruleset, path, access) } else { Ok(ruleset) }
}

fn allow(
    ruleset: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, Box<dyn std::error::Error>> {
    // Rights over directories, given for a file, would make the kernel's answer "partial".
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(ABI_TRIED) };
    Ok(ruleset.add_rule(PathBeneath::new(PathFd::new(path)?, access))?)
}

fn nvidia_devices() -> Vec<PathBuf> {
    let nodes = std::fs::read_dir("/dev").into_iter().flatten().flatten();
    nodes
        .filter(|node| node.file_name().to_string_lossy().starts_with("nvidia"))
        .map(|node| node.path())
        .collect()
}
