//! The signature of SNS on an envelope, as a subscriber with an address of its own verifies it.
//!
//! Source: "Verifying the signatures of Amazon SNS messages" in the developer guide of SNS.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use serde_json::Value;
use webpki::EndEntityCert;
use webpki::aws_lc_rs::RSA_PKCS1_2048_8192_SHA256;

/// The members that are signed, in their order. Absent ones are left out.
const SIGNED: [&str; 6] = [
    "Message",
    "MessageId",
    "Subject",
    "Timestamp",
    "TopicArn",
    "Type",
];

/// The address of the certificate, if it is one of SNS in this region.
pub(super) fn certificate_url<'e>(envelope: &'e Value, region: &str) -> Result<&'e str, String> {
    let url = envelope["SigningCertURL"].as_str().unwrap_or_default();
    let hosts = ["amazonaws.com", "amazonaws.com.cn"];
    let is_of_sns = hosts
        .iter()
        .any(|suffix| url.starts_with(&format!("https://sns.{region}.{suffix}/")));
    match is_of_sns && url.ends_with(".pem") {
        true => Ok(url),
        false => Err(format!("`{url}` is not an address of SNS")),
    }
}

/// Verifies the signature of version 2 with the certificate.
pub(super) fn verify(envelope: &Value, certificate: &[u8]) -> Result<(), String> {
    let text = |name: &str| envelope[name].as_str().unwrap_or_default();
    if text("SignatureVersion") != "2" {
        return Err(format!("version `{}`", text("SignatureVersion")));
    }
    let signature = STANDARD.decode(text("Signature"));
    let signature = signature.map_err(|error| error.to_string())?;
    let certificate = CertificateDer::from_pem_slice(certificate);
    let certificate = certificate.map_err(|error| error.to_string())?;
    let certificate = EndEntityCert::try_from(&certificate).map_err(|error| error.to_string())?;
    let algorithm = RSA_PKCS1_2048_8192_SHA256;
    let verified =
        certificate.verify_signature(algorithm, signed_text(envelope).as_bytes(), &signature);
    verified.map_err(|error| error.to_string())
}

fn signed_text(envelope: &Value) -> String {
    let members = SIGNED.iter();
    members
        .filter_map(|name| Some(format!("{name}\n{}\n", envelope[*name].as_str()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
    use rcgen::{CertificateParams, KeyPair, PKCS_RSA_SHA256};
    use serde_json::json;

    #[test]
    fn only_the_signed_text_verifies() {
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        let params = CertificateParams::new(vec!["sns.amazonaws.com".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        let mut envelope = json!({
            "Type": "Notification", "MessageId": "1", "TopicArn": "arn:aws:sns:x:1:t", "Message": "{}",
            "Timestamp": "2026-11-22T02:00:00.000Z", "SignatureVersion": "2",
        });
        let text = "Message\n{}\nMessageId\n1\nTimestamp\n2026-11-22T02:00:00.000Z\nTopicArn\narn:aws:sns:x:1:t\nType\nNotification\n";
        assert_eq!(signed_text(&envelope), text);
        let signer = RsaKeyPair::from_pkcs8(&key.serialize_der()).unwrap();
        let mut signature = vec![0; signer.public_modulus_len()];
        signer
            .sign(
                &RSA_PKCS1_SHA256,
                &SystemRandom::new(),
                text.as_bytes(),
                &mut signature,
            )
            .unwrap();
        envelope["Signature"] = json!(STANDARD.encode(&signature));
        assert_eq!(verify(&envelope, certificate.as_bytes()), Ok(()));
        envelope["Message"] = json!("{\"forged\":true}");
        assert!(verify(&envelope, certificate.as_bytes()).is_err());
    }

    #[test]
    fn certificate_comes_from_sns() {
        let of = |url: &str| certificate_url(&json!({"SigningCertURL": url}), "eu-west-1").is_ok();
        assert!(of("https://sns.eu-west-1.amazonaws.com/key.pem"));
        assert!(!of("http://sns.eu-west-1.amazonaws.com/key.pem"));
        assert!(!of("https://sns.eu-west-1.amazonaws.com.example/key.pem"));
        assert!(!of("https://sns.us-east-1.amazonaws.com/key.pem"));
    }
}
