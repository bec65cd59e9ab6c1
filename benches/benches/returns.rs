//! The sample with slow systems behind it: every connector answers 200 ms late. Do independent steps overlap, and what is the host's own share?

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bailiwick_benches::percentile;
use serde_json::Value;

/// Runs that are measured.
const RUNS: usize = 15;

fn main() -> anyhow::Result<()> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let status = Command::new("cargo").args(["build", "--release", "-p", "bailiwick-cli"]).current_dir(&root).status()?;
    ensure!(status.success(), "the host does not build");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let binary = target.join("release/bailiwick");
    // Beside the agents, because the project names their source folders relative to itself.
    let examples = root.join("examples");
    let copy = tempfile::Builder::new().prefix("returns-slow-").tempdir_in(&examples)?;
    copy_folder(&examples.join("returns"), copy.path())?;
    for entry in std::fs::read_dir(copy.path().join("connectors"))? {
        let path = entry?.path();
        let text = std::fs::read_to_string(&path)?;
        // Before the first table, after the comment.
        let slow = text.replacen("kind = ", "latency = \"200ms\"\nkind = ", 1);
        ensure!(slow != text, "`{}` has no `kind`", path.display());
        std::fs::write(&path, slow)?;
    }
    let mut totals = Vec::new();
    let mut hosts = Vec::new();
    let mut disks = Vec::new();
    let mut overlaps = 0;
    for _ in 0..=RUNS {
        let account = run(&binary, copy.path())?;
        totals.push(micros(&account, "/time/total-us")?);
        hosts.push(micros(&account, "/time/host-us")?);
        disks.push(micros(&account, "/time/disk-us")?);
        overlaps += usize::from(overlap(&account, "identity", "eligibility")?);
    }
    // The first run makes sample data and compiles; it is not what is asked about.
    for samples in [&mut totals, &mut hosts, &mut disks] {
        samples.remove(0);
    }
    println!(
        "\n## The returns sample, every connector 200 ms late ({RUNS} runs, a fresh state folder each)\n\n| | p50 | max |\n|---|---|---|"
    );
    for (name, samples) in [("total", &mut totals), ("host's own share", &mut hosts), ("waiting for the disk", &mut disks)] {
        println!("| {name} | {:.1?} | {:.1?} |", percentile(samples, 500), percentile(samples, 1000));
    }
    println!("\nidentity and eligibility overlapped in {overlaps} of {} runs", RUNS + 1);
    Ok(())
}

fn run(binary: &Path, project: &Path) -> anyhow::Result<Value> {
    let state = tempfile::tempdir()?;
    let output = Command::new(binary).arg("run").arg(project).arg("--json").arg("--state").arg(state.path()).output()?;
    if !output.status.success() {
        bail!("a run failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    let document: Value = serde_json::from_slice(&output.stdout)?;
    ensure!(document.pointer("/result/decision") == Some(&Value::from("accepted")), "another decision: {document}");
    document.get("account").cloned().context("no account")
}

fn micros(account: &Value, pointer: &str) -> anyhow::Result<Duration> {
    Ok(Duration::from_micros(account.pointer(pointer).and_then(Value::as_u64).with_context(|| format!("no `{pointer}`"))?))
}

fn overlap(account: &Value, first: &str, second: &str) -> anyhow::Result<bool> {
    let steps = account.get("steps").and_then(Value::as_array).context("no steps")?;
    let span = |name: &str| {
        let step = steps.iter().find(|step| step.get("step") == Some(&Value::from(name))).with_context(|| format!("no step `{name}`"))?;
        anyhow::Ok((micros(step, "/start-us")?, micros(step, "/end-us")?))
    };
    let ((first_start, first_end), (second_start, second_end)) = (span(first)?, span(second)?);
    Ok(first_start < second_end && second_start < first_end)
}

fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_name() == ".bailiwick" {
            continue;
        }
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
