//! The front door: a content delivery network with a firewall, in front of the merchants' API. It adds a secret to each request,
//! and the address of the client, which the gateway cannot see behind it.

use api::event::Request;
use domain::error_code::ErrorCode;
use domain::rejection::Rejection;
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use subtle::{Choice, ConstantTimeEq};

/// The header with the secret.
pub const SECRET_HEADER: &str = "x-origin-secret";
/// The header with address and port of the client.
pub const VIEWER_HEADER: &str = "cloudfront-viewer-address";
/// One secret, and the next one during a rotation.
const SECRETS_MAX: usize = 2;

/// What the functions know of the front door: the hashes of its secrets. Without one there is no front door, and every request
/// is admitted with the address that the gateway saw.
#[derive(Clone, Debug, Default)]
pub struct FrontDoor(Vec<[u8; 32]>);

impl FrontDoor {
    /// Reads at most two SHA-256 hashes in hex, separated by a comma. `None` for another text, so that a typing error does not open
    /// the API.
    #[must_use]
    pub fn parse(hashes: &str) -> Option<Self> {
        if hashes.is_empty() {
            return Some(Self::default());
        }
        let hash = |text: &str| <[u8; 32]>::try_from(hex::decode(text).ok()?).ok();
        let hashes: Option<Vec<_>> = hashes.split(',').map(hash).collect();
        hashes
            .filter(|hashes| hashes.len() <= SECRETS_MAX)
            .map(Self)
    }

    /// Admits a request that has passed the front door, and takes the client's address from it.
    ///
    /// # Errors
    /// `FRONT_DOOR_REQUIRED` for every other request.
    pub(crate) fn admit(&self, request: &mut Request) -> Result<(), Rejection> {
        if self.0.is_empty() {
            return Ok(());
        }
        let refused = || Rejection::new(ErrorCode::FrontDoorRequired);
        let secret = request.header(SECRET_HEADER).ok_or_else(refused)?;
        let presented = Sha256::digest(secret.as_bytes());
        let is_known = self.0.iter().fold(Choice::from(0), |known, hash| {
            known | hash.ct_eq(presented.as_slice())
        });
        let viewer = request.header(VIEWER_HEADER).and_then(address);
        let viewer = viewer.filter(|_| is_known.into()).ok_or_else(refused)?;
        request.source_ip = viewer.to_string();
        Ok(())
    }
}

/// The address in `203.0.113.7:46532` or `2001:db8::7:46532`.
fn address(viewer: &str) -> Option<IpAddr> {
    let (address, port) = viewer.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    address.trim_matches(['[', ']']).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    const NEXT: &str = "fedcba9876543210fedcba9876543210";

    fn hash(secret: &str) -> String {
        hex::encode(Sha256::digest(secret))
    }

    fn admitted(hashes: &str, headers: &[(&str, &str)]) -> Result<String, ErrorCode> {
        let headers = headers.iter();
        let headers = headers.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut request = Request {
            source_ip: "192.0.2.1".to_owned(),
            headers: headers.collect::<BTreeMap<_, _>>(),
            ..Request::default()
        };
        let front_door = FrontDoor::parse(hashes).unwrap();
        let admitted = front_door.admit(&mut request);
        admitted
            .map(|()| request.source_ip)
            .map_err(|refused| refused.code)
    }

    #[test]
    fn client_is_whom_the_front_door_names() {
        let both = format!("{},{}", hash(SECRET), hash(NEXT));
        for (hashes, secret, viewer, expected) in [
            (hash(SECRET), SECRET, "203.0.113.7:46532", "203.0.113.7"),
            (both.clone(), SECRET, "2001:db8::7:46532", "2001:db8::7"),
            (both, NEXT, "[2001:db8::7]:1", "2001:db8::7"),
        ] {
            let headers = [(SECRET_HEADER, secret), (VIEWER_HEADER, viewer)];
            assert_eq!(admitted(&hashes, &headers).unwrap(), expected);
        }
    }

    #[test]
    fn request_around_the_front_door_is_refused() {
        let (hashes, viewer) = (hash(SECRET), (VIEWER_HEADER, "203.0.113.7:46532"));
        for headers in [
            &[][..],
            &[viewer],
            &[(SECRET_HEADER, NEXT), viewer],
            &[(SECRET_HEADER, ""), viewer],
            &[(SECRET_HEADER, &hashes), viewer],
            &[(SECRET_HEADER, SECRET)],
            &[(SECRET_HEADER, SECRET), (VIEWER_HEADER, "203.0.113.7")],
            &[(SECRET_HEADER, SECRET), (VIEWER_HEADER, "someone:80")],
        ] {
            let refused = admitted(&hashes, headers);
            assert_eq!(refused, Err(ErrorCode::FrontDoorRequired), "{headers:?}");
        }
    }

    #[test]
    fn without_a_front_door_nothing_is_believed() {
        let headers = [
            (SECRET_HEADER, SECRET),
            (VIEWER_HEADER, "203.0.113.7:46532"),
        ];
        assert_eq!(admitted("", &headers).unwrap(), "192.0.2.1");
    }

    #[test]
    fn typing_error_does_not_open_the_api() {
        let three = [SECRET, NEXT, "other"].map(hash).join(",");
        for hashes in [",", " ", SECRET, &hash(SECRET)[1..], &three] {
            assert!(FrontDoor::parse(hashes).is_none(), "{hashes}");
        }
    }
}
