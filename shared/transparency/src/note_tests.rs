use super::*;
use crate::hash::Hash;
use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use proptest::prelude::*;

const NAME: &str = "log.example/histories";

struct Signer(EcdsaKeyPair);

impl Signer {
    fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
    }

    fn key(&self) -> LogKey {
        let der: PublicKeyX509Der = self.0.public_key().as_der().unwrap();
        LogKey::from_der(der.as_ref()).unwrap()
    }

    fn sign(&self, text: &str) -> Vec<u8> {
        let signature = self.0.sign(&SystemRandom::new(), text.as_bytes());
        signature.unwrap().as_ref().to_vec()
    }

    /// A signature line for any text.
    fn line(&self, name: &str, text: &str) -> String {
        line(name, self.key().id(), &self.sign(text))
    }
}

fn line(name: &str, id: [u8; 4], signature: &[u8]) -> String {
    let signature = STANDARD.encode([&id, signature].concat());
    format!("— {name} {signature}\n")
}

fn checkpoint() -> Checkpoint {
    Checkpoint {
        origin: NAME.to_owned(),
        size: 42,
        root: Hash([7; 32]),
    }
}

fn verify(note: &str, key: &LogKey) -> Result<Checkpoint, BadNote> {
    Note::parse(note)?.verify(NAME, key)
}

#[test]
fn assembled_note_verifies() {
    let signer = Signer::new();
    let signature = signer.sign(&checkpoint().body());
    let note = Note::assemble(&checkpoint(), &signer.key(), &signature).unwrap();
    let text = note.to_string();
    assert_eq!(Note::parse(&text), Ok(note));
    assert_eq!(verify(&text, &signer.key()), Ok(checkpoint()));
}

#[test]
fn note_that_would_not_verify_is_not_assembled() {
    let (signer, other) = (Signer::new(), Signer::new());
    let signature = other.sign(&checkpoint().body());
    let refused = Note::assemble(&checkpoint(), &signer.key(), &signature);
    assert_eq!(refused, Err(BadNote::BadSignature));
    for (origin, reason) in [
        ("", BadNote::Form),
        ("a\nb", BadNote::SignatureLine),
        ("a b", BadNote::SignatureLine),
        ("a\u{3000}b", BadNote::SignatureLine),
        ("a+b", BadNote::SignatureLine),
    ] {
        let mut checkpoint = checkpoint();
        checkpoint.origin = origin.to_owned();
        let signature = signer.sign(&checkpoint.body());
        let refused = Note::assemble(&checkpoint, &signer.key(), &signature);
        assert_eq!(refused, Err(reason), "{origin:?}");
    }
}

#[test]
fn signatures_of_other_keys_are_ignored() {
    let (signer, other) = (Signer::new(), Signer::new());
    let body = checkpoint().body();
    let same_name = other.line(NAME, &body);
    let same_id = line("witness.example", signer.key().id(), b"not a signature");
    let unknown = line("witness.example", [0; 4], b"");
    let ours = signer.line(NAME, &body);
    let note = format!("{body}\n{same_name}{same_id}{ours}{unknown}");
    assert_eq!(verify(&note, &signer.key()), Ok(checkpoint()));
    let note = format!("{body}\n{same_name}{same_id}{unknown}");
    assert_eq!(verify(&note, &signer.key()), Err(BadNote::NotSigned));
}

#[test]
fn any_bad_signature_of_the_key_is_refused() {
    let (signer, other) = (Signer::new(), Signer::new());
    let body = checkpoint().body();
    let good = signer.line(NAME, &body);
    let forged = line(NAME, signer.key().id(), &other.sign(&body));
    for lines in [
        forged.clone(),
        format!("{good}{forged}"),
        format!("{forged}{good}"),
    ] {
        let refused = verify(&format!("{body}\n{lines}"), &signer.key());
        assert_eq!(refused, Err(BadNote::BadSignature), "{lines}");
    }
}

#[test]
fn signed_text_must_be_a_checkpoint_of_this_log() {
    let signer = Signer::new();
    let signed = |body: &str| format!("{body}\n{}", signer.line(NAME, body));
    let other = checkpoint().body().replace(NAME, "other.example");
    let refused = verify(&signed(&other), &signer.key());
    assert_eq!(refused, Err(BadNote::OtherOrigin));
    let refused = verify(&signed("a note\n"), &signer.key());
    let reason = BadNote::Checkpoint(BadCheckpoint::Lines);
    assert_eq!(refused, Err(reason));
    let extended = checkpoint().body() + "an extension\n";
    assert_eq!(verify(&signed(&extended), &signer.key()), Ok(checkpoint()));
}

#[test]
fn malformed_notes_are_refused() {
    let body = checkpoint().body();
    let line = line(NAME, [1; 4], &[2; 70]);
    let good = format!("{body}\n{line}");
    assert!(Note::parse(&good).is_ok());
    for note in [
        "",
        "\n",
        "\n\n",
        "\n\n\n",
        &body,
        &format!("{body}\n"),
        &format!("{body}{line}"),
        &format!("\n{line}"),
        &format!("\n\n{line}"),
        &format!("{body}\n\n{line}"),
        &format!("{body}\n{line}\n"),
        &format!("{body}\n{line}\n{line}"),
        &format!("a\n\n{body}\n{line}"),
        &good.replace('\n', "\r\n"),
        &good.replacen("42", "4\t2", 1),
        good.trim_end(),
    ] {
        assert_eq!(Note::parse(note), Err(BadNote::Form), "{note:?}");
    }
    for line in [
        line.replacen('—', "-", 1),
        line.replacen("— ", "—", 1),
        line.replacen("— ", "—\u{a0}", 1),
        line.replacen(NAME, "", 1),
        line.replacen(NAME, "a b", 1),
        line.replacen(NAME, "a\u{a0}b", 1),
        line.replacen(NAME, "a+b", 1),
        line.replacen('=', "", 1),
        line.replacen('\n', " \n", 1),
        format!("{line}more\n"),
        "— a AAA=\n".to_owned(),
        "— a \n".to_owned(),
        "— a\n".to_owned(),
    ] {
        let refused = Note::parse(&format!("{body}\n{line}"));
        assert_eq!(refused, Err(BadNote::SignatureLine), "{line:?}");
    }
}

#[test]
fn number_of_signatures_is_limited_by_the_size() {
    let body = checkpoint().body();
    let line = line(NAME, [1; 4], &[2; 3000]);
    let note = format!("{body}\n{}", line.repeat(16));
    assert!(Note::parse(&note).is_ok());
    let note = format!("{body}\n{}", line.repeat(17));
    assert_eq!(Note::parse(&note), Err(BadNote::TooLong));
}

proptest! {
    #[test]
    fn changed_note_is_refused(at: prop::sample::Index, mask in 1..=127_u8) {
        let signer = Signer::new();
        let signature = signer.sign(&checkpoint().body());
        let note = Note::assemble(&checkpoint(), &signer.key(), &signature).unwrap();
        let mut bytes = note.to_string().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= mask;
        if let Ok(changed) = String::from_utf8(bytes) {
            prop_assert!(verify(&changed, &signer.key()).is_err(), "{changed}");
        }
    }

    #[test]
    fn read_note_has_one_spelling(note in "(a|\n|— a AAAAAA[A-D]=|— a AAAAAAAA){0,8}\n") {
        if let Ok(read) = Note::parse(&note) {
            prop_assert_eq!(read.to_string(), note);
        }
    }
}
