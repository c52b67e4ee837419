//! TLS for the local services, with a certificate authority that lives as long as this process.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// A server certificate for `localhost`, and the trust store that the clients read.
pub struct LocalTls {
    /// Accepts connections.
    pub acceptor: TlsAcceptor,
    /// The machine's root certificates and the test's own: as many as a function parses on Lambda.
    pub roots: PathBuf,
}

impl LocalTls {
    /// Creates an authority and a certificate. Writes the trust store into `folder`.
    #[must_use]
    pub fn create(folder: &Path) -> Self {
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::default();
        ca.distinguished_name
            .push(DnType::CommonName, "tests of settlement-rebind");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let ca_cert = ca.self_signed(&ca_key).unwrap();
        let issuer = Issuer::new(ca, ca_key);
        let key = KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned()];
        let cert = CertificateParams::new(names)
            .unwrap()
            .signed_by(&key, &issuer)
            .unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        std::fs::create_dir_all(folder).unwrap();
        let roots = folder.join("roots.pem");
        let machine = std::fs::read_to_string(local::root_certificates()).unwrap();
        std::fs::write(&roots, format!("{machine}\n{}", ca_cert.pem())).unwrap();
        Self {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            roots,
        }
    }
}
