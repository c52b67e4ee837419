//! The local cloud's process.
//!
//! The local cloud and the functions it starts form one process group: ending the group ends them and no other process. The
//! local cloud holds a lock on its log file while it runs. A free lock proves that it has ended; a process id proves nothing,
//! as the kernel may have reused it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Seek, SeekFrom, Write};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use rustix::process::{Pid, Signal, kill_process_group};

use crate::cloud::{ACCESS_KEY, REGION, SECRET_KEY};
use crate::error::Error;
use crate::http::Http;
use crate::tools::last_lines;

const READY_LIMIT: Duration = Duration::from_secs(60);
const END_LIMIT: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(50);

/// Runs a program as the leader of its process group, and ends the group when standard input closes, which happens when the
/// parent process ends for any reason. A line on standard input cancels this.
const END_WITH_PARENT: &str =
    r#"exec 3<&0; { read -r _ <&3 || kill -TERM 0; } >/dev/null 2>&1 & exec "$@" 3<&- </dev/null"#;

/// A claimed state directory and port. Taken before the build, so that a conflict shows at once.
#[derive(Debug)]
pub(crate) struct Claim {
    state_dir: PathBuf,
    log: File,
    listener: TcpListener,
}

impl Claim {
    /// Claims `state_dir`, and `port` or a free one.
    pub(crate) fn take(state_dir: &Path, port: Option<u16>) -> Result<Self, Error> {
        std::fs::create_dir_all(state_dir)
            .map_err(Error::io(format!("creating {}", state_dir.display())))?;
        let deadline = Instant::now() + END_LIMIT; // a predecessor may still be ending
        let log = loop {
            match lock(state_dir)? {
                Some(log) => break log,
                None if Instant::now() > deadline => {
                    return Err(Error::AlreadyUp(state_dir.to_owned()));
                }
                None => std::thread::sleep(POLL),
            }
        };
        let _ = std::fs::remove_file(group_file(state_dir)); // the group has ended, and its number may be reused
        let listener = match port {
            Some(port) => {
                TcpListener::bind(("127.0.0.1", port)).map_err(|_| Error::PortTaken(port))?
            }
            None => {
                TcpListener::bind(("127.0.0.1", 0)).map_err(Error::io("finding a free port"))?
            }
        };
        Ok(Self {
            state_dir: state_dir.to_owned(),
            log,
            listener,
        })
    }
}

/// A running local cloud. Dropping it ends the process, unless it was detached.
#[derive(Debug)]
pub(crate) struct Ministack {
    state_dir: PathBuf,
    port: u16,
    group: Pid,
    child: Option<Child>,
}

impl Ministack {
    /// Starts `program` with the claimed directory and port, and waits until it answers.
    pub(crate) async fn start(program: &Path, claim: Claim) -> Result<Self, Error> {
        let Claim {
            state_dir,
            log,
            listener,
        } = claim;
        let port = listener
            .local_addr()
            .map_err(Error::io("finding a free port"))?
            .port();
        drop(listener); // another process could take the port now, but this is unlikely
        let child = spawn(program, &state_dir, port, log)?;
        let group = Pid::from_child(&child);
        let mut this = Self {
            state_dir,
            port,
            group,
            child: Some(child),
        };
        let path = group_file(&this.state_dir);
        std::fs::write(&path, group.as_raw_nonzero().to_string())
            .map_err(Error::io(format!("writing {}", path.display())))?;
        this.wait_until_ready().await?;
        Ok(this)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Lets the local cloud outlive this process.
    pub(crate) fn detach(&mut self) -> Result<(), Error> {
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        match child.stdin.take() {
            Some(mut stdin) => stdin
                .write_all(b"\n")
                .map_err(Error::io("detaching the local cloud")),
            None => Ok(()),
        }
    }

    async fn wait_until_ready(&mut self) -> Result<(), Error> {
        let http = Http::new();
        let deadline = Instant::now() + READY_LIMIT;
        while Instant::now() < deadline {
            if let Some(child) = &mut self.child
                && child
                    .try_wait()
                    .map_err(Error::io("reading the local cloud's status"))?
                    .is_some()
            {
                return Err(self.failed("ended during its start"));
            }
            let request =
                Request::get(format!("{}/_ministack/health", self.url())).body(Bytes::new());
            if let Ok(request) = request
                && http
                    .send(request)
                    .await
                    .is_ok_and(|reply| reply.status == 200)
            {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
        Err(self.failed("did not answer within a minute"))
    }

    fn failed(&self, what: &'static str) -> Error {
        let log = log_file(&self.state_dir);
        let tail = last_lines(&std::fs::read_to_string(&log).unwrap_or_default(), 15);
        Error::Cloud { what, log, tail }
    }
}

impl Drop for Ministack {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        end_group(self.group, &self.state_dir);
        let _ = child.wait(); // reap it, so that a long test run leaves no zombie
    }
}

/// Ends the local cloud of `state_dir`. Returns `false` if none was running.
pub(crate) fn end(state_dir: &Path) -> Result<bool, Error> {
    if !state_dir.exists() || lock(state_dir)?.is_some() {
        return Ok(false);
    }
    let group = std::fs::read_to_string(group_file(state_dir)).unwrap_or_default();
    let group = group.trim().parse().ok().and_then(Pid::from_raw);
    end_group(group.ok_or(Error::Starting)?, state_dir);
    Ok(true)
}

/// Ends the group: with SIGTERM, and after a time limit with SIGKILL.
fn end_group(group: Pid, state_dir: &Path) {
    for signal in [Signal::TERM, Signal::KILL] {
        let deadline = Instant::now() + END_LIMIT;
        while kill_process_group(group, signal).is_ok() && Instant::now() < deadline {
            // A zombie leader keeps the group alive for kill(2), so look at the lock.
            if matches!(lock(state_dir), Ok(Some(_))) {
                let _ = kill_process_group(group, Signal::KILL); // workers may outlive their leader
                let _ = std::fs::remove_dir_all(tmp_dir(state_dir)); // the functions' unpacked code
                return;
            }
            std::thread::sleep(POLL);
        }
    }
}

/// The locked log file; `None` while a local cloud uses this directory.
fn lock(state_dir: &Path) -> Result<Option<File>, Error> {
    let path = log_file(state_dir);
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(Error::io(format!("opening {}", path.display())))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(cause)) => {
            Err(Error::io(format!("locking {}", path.display()))(cause))
        }
    }
}

fn spawn(program: &Path, state_dir: &Path, port: u16, mut log: File) -> Result<Child, Error> {
    let starting = || format!("starting {}", program.display());
    log.set_len(0)
        .and_then(|()| log.seek(SeekFrom::Start(0)))
        .map_err(Error::io(starting()))?;
    writeln!(log, "local cloud on port {port}").map_err(Error::io(starting()))?;
    let home = state_dir.join("home");
    let tmp = state_dir.join("tmp");
    for folder in [&home, &tmp] {
        std::fs::create_dir_all(folder)
            .map_err(Error::io(format!("creating {}", folder.display())))?;
    }
    let url = format!("http://127.0.0.1:{port}");
    Command::new("/bin/sh")
        .args(["-c", END_WITH_PARENT, "sh"])
        .arg(program)
        .process_group(0)
        // The functions inherit this environment. The user's AWS settings must not reach them.
        .env_clear()
        .envs([
            ("PATH", "/usr/bin:/bin"),
            ("LANG", "C.UTF-8"),
            ("BIND_HOST", "127.0.0.1"),
            ("LAMBDA_EXECUTOR", "local"),
            ("AUTH", "true"), // enforce the roles, so that a missing permission fails a call
            ("AWS_ENDPOINT_URL", &url), // without it the functions would call AWS
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY),
            ("AWS_DEFAULT_REGION", REGION),
            ("MINISTACK_REGION", REGION),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ])
        .env("GATEWAY_PORT", port.to_string())
        .env("HOME", &home)
        .env("TMPDIR", &tmp)
        .stdin(Stdio::piped())
        .stdout(log.try_clone().map_err(Error::io(starting()))?)
        .stderr(log)
        .spawn()
        .map_err(Error::io(starting()))
}

fn log_file(state_dir: &Path) -> PathBuf {
    state_dir.join("ministack.log")
}

/// The local cloud unpacks the functions here.
fn tmp_dir(state_dir: &Path) -> PathBuf {
    state_dir.join("tmp")
}

fn group_file(state_dir: &Path) -> PathBuf {
    state_dir.join("ministack.pid")
}
