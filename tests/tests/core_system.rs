//! The sample code of a core system, in two languages, reads the payout instructions of this system and refuses every other one.

#![recursion_limit = "256"] // nested futures
#![allow(clippy::unwrap_used, missing_docs)]

use serde_json::{Value, json};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tests::in_process::InProcess;

const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../infra/core-system");

/// A sample program with its interpreter.
struct Sample {
    interpreter: PathBuf,
    program: PathBuf,
}

impl Sample {
    /// Installs the pinned packages under `target`, unless they are there.
    fn node(out: &Path) -> Self {
        let sample = Self {
            interpreter: "node".into(),
            program: out.join("instruction.mjs"),
        };
        fs::create_dir_all(out).unwrap();
        for name in ["instruction.mjs", "package.json"] {
            fs::copy(Path::new(SAMPLES).join(name), out.join(name)).unwrap();
        }
        if is_new(out, "package-lock.json") {
            let mut npm = Command::new("npm");
            npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
            run(npm.current_dir(out));
            mark(out, "package-lock.json");
        }
        sample
    }

    fn python(out: &Path) -> Self {
        let venv = out.join("venv");
        let sample = Self {
            interpreter: venv.join("bin/python"),
            program: Path::new(SAMPLES).join("instruction.py"),
        };
        fs::create_dir_all(out).unwrap();
        if is_new(out, "requirements.txt") {
            run(Command::new("python3")
                .args(["-m", "venv", "--clear"])
                .arg(&venv));
            let mut pip = Command::new(&sample.interpreter);
            pip.args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "-r",
            ]);
            run(pip.arg(out.join("requirements.txt")));
            mark(out, "requirements.txt");
        }
        sample
    }

    fn keygen(&self, kty: &str) -> Value {
        let printed = self.call(&["keygen", kty], "").unwrap();
        serde_json::from_str(&printed).unwrap()
    }

    /// The claims, or the reason of the refusal.
    fn read(&self, asked: &Value) -> Result<Value, String> {
        let printed = self.call(&["read"], &asked.to_string())?;
        Ok(serde_json::from_str(&printed).unwrap())
    }

    fn call(&self, arguments: &[&str], input: &str) -> Result<String, String> {
        let mut child = Command::new(&self.interpreter)
            .arg(&self.program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        if output.status.success() {
            Ok(text(output.stdout))
        } else {
            Err(text(output.stderr))
        }
    }
}

/// Copies the pins. True if they have not been installed.
fn is_new(out: &Path, pins: &str) -> bool {
    let wanted = fs::read(Path::new(SAMPLES).join(pins)).unwrap();
    fs::write(out.join(pins), &wanted).unwrap();
    fs::read(out.join("installed")).ok() != Some(wanted)
}

fn mark(out: &Path, pins: &str) {
    fs::copy(out.join(pins), out.join("installed")).unwrap();
}

fn run(command: &mut Command) {
    let status = command.stdin(Stdio::null()).status().unwrap();
    assert!(status.success(), "{command:?}");
}

fn operation(operation: &str) -> Value {
    json!({"operation": operation, "merchant_id": "mer_plain_1", "payout_id": "pay_1"})
}

#[tokio::test]
async fn samples_read_instructions_for_both_kinds_of_keys() {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("core-system");
    let samples = [
        Sample::node(&out.join("node")),
        Sample::python(&out.join("python")),
    ];
    for (maker, kty) in [(0, "EC"), (1, "RSA"), (1, "EC"), (0, "RSA")] {
        let key = samples[maker].keygen(kty);
        let world = InProcess::start().await;
        // The samples compare the instruction's time with their own clock.
        world.clock.set(application::clock::wall_clock());
        let mut create = operation("create_payout");
        create["amount_fen"] = json!(500);
        world.core(create).await.unwrap();
        let set = key["core_encryption_keys"].as_str().unwrap();
        let paid = world.core_with_keys(set, operation("payout_sending")).await;
        let paid = paid.unwrap();
        let asked = json!({
            "instruction": paid["instruction"],
            "private_jwk": key["private_jwk"],
            "signing_key_pem": world.signer.public_pem(),
            "payout_id": "pay_1",
            "amount_fen": 500,
        });
        for sample in &samples {
            let told = sample.read(&asked).unwrap();
            let number = told["card_number"].as_str().unwrap();
            assert_eq!(
                number,
                format!("…{}", paid["card"]["last4"].as_str().unwrap())
            );
            assert_eq!(told["release"], 1);
            let others = [
                ("amount_fen", json!(501)),
                ("payout_id", json!("pay_2")),
                ("private_jwk", samples[0].keygen(kty)["private_jwk"].clone()),
                (
                    "signing_key_pem",
                    json!(InProcess::start().await.signer.public_pem()),
                ),
            ];
            for (name, value) in others {
                let mut other = asked.clone();
                other[name] = value;
                assert!(
                    sample.read(&other).unwrap_err().contains("refused"),
                    "{name}"
                );
            }
        }
    }
}
