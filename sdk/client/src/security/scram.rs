//! The client's half of SCRAM (RFC 5802, RFC 7677): three messages, in which both sides show that they know the password.
//!
//! As in Kafka's own client, names and passwords are taken as the UTF-8 they are, without SASLprep. Knows no socket and
//! draws no random number.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};

use super::sasl::Disbelief;

/// What a broker may ask for: fewer iterations than Kafka's least are no protection, more than this are an attack.
const ITERATIONS_MIN: u32 = 4096;
const ITERATIONS_MAX: u32 = 1_000_000;
/// No honest message comes near.
const MESSAGE_BYTES_MAX: usize = 4096;
/// `n,,` in base64: no channel binding, no other identity.
const HEADER: &str = "n,,";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha256,
    Sha512,
}

impl Hash {
    fn digest(self, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(data).to_vec(),
            Self::Sha512 => Sha512::digest(data).to_vec(),
        }
    }

    fn hmac(self, key: &[u8], data: &[u8]) -> Vec<u8> {
        const ANY_LENGTH: &str = "a key may have any length";
        match self {
            Self::Sha256 => {
                let mut mac = Hmac::<Sha256>::new_from_slice(key).expect(ANY_LENGTH);
                mac.update(data);
                mac.finalize().into_bytes().to_vec()
            }
            Self::Sha512 => {
                let mut mac = Hmac::<Sha512>::new_from_slice(key).expect(ANY_LENGTH);
                mac.update(data);
                mac.finalize().into_bytes().to_vec()
            }
        }
    }

    fn salted(self, password: &[u8], salt: &[u8], iterations: u32) -> Vec<u8> {
        match self {
            Self::Sha256 => {
                pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password, salt, iterations).to_vec()
            }
            Self::Sha512 => {
                pbkdf2::pbkdf2_hmac_array::<Sha512, 64>(password, salt, iterations).to_vec()
            }
        }
    }
}

/// One exchange, from its first message to the broker's proof.
pub(crate) struct Scram {
    hash: Hash,
    password: String,
    nonce: String,
    /// The first message without its header, which the proofs are about, too.
    first: String,
    /// What the broker must prove, once we have said all we say.
    expected: Option<Vec<u8>>,
}

impl Scram {
    pub(crate) fn new(hash: Hash, username: &str, password: &str, nonce: &[u8]) -> Self {
        let username = username.replace('=', "=3D").replace(',', "=2C");
        let nonce = BASE64.encode(nonce);
        Self {
            hash,
            password: password.to_owned(),
            first: format!("n={username},r={nonce}"),
            nonce,
            expected: None,
        }
    }

    pub(crate) fn first(&self) -> Vec<u8> {
        format!("{HEADER}{}", self.first).into_bytes()
    }

    /// Takes the broker's message and gives the next, or `None` once the broker has shown that it knows the password.
    pub(crate) fn next(&mut self, message: &[u8]) -> Result<Option<Vec<u8>>, Disbelief> {
        let disbelief = |why: &str| Disbelief(format!("the broker's SCRAM message {why}"));
        if message.len() > MESSAGE_BYTES_MAX {
            return Err(disbelief("is longer than 4096 bytes"));
        }
        let message = std::str::from_utf8(message).map_err(|_| disbelief("is no text"))?;
        // The broker may refuse at any time.
        if let Some(error) = message.strip_prefix("e=") {
            let error = error.split(',').next().unwrap_or_default();
            return Err(Disbelief(format!("the broker refuses: {error:?}")));
        }
        let mut fields = message.split(',');
        let mut field = |name: &str| {
            let field = fields.next().unwrap_or_default();
            let value = field.strip_prefix(name).and_then(|f| f.strip_prefix('='));
            value.ok_or_else(|| disbelief(&format!("has no {name}= where it belongs")))
        };
        if let Some(expected) = &self.expected {
            let verifier = BASE64.decode(field("v")?).ok();
            if verifier.is_none_or(|verifier| !is_same(&verifier, expected)) {
                return Err(disbelief("does not prove that it knows the password"));
            }
            return Ok(None);
        }
        let nonce = field("r")?;
        if nonce.len() <= self.nonce.len() || !nonce.starts_with(&self.nonce) {
            return Err(disbelief("does not answer to our nonce"));
        }
        let salt = BASE64.decode(field("s")?);
        let salt = salt.map_err(|_| disbelief("has a salt that is no base64"))?;
        let iterations: u32 = field("i")?.parse().unwrap_or(0);
        if !(ITERATIONS_MIN..=ITERATIONS_MAX).contains(&iterations) {
            return Err(disbelief(&format!(
                "asks for {iterations} iterations, need {ITERATIONS_MIN} to {ITERATIONS_MAX}"
            )));
        }
        let salted = self
            .hash
            .salted(self.password.as_bytes(), &salt, iterations);
        let without_proof = format!("c={},r={nonce}", BASE64.encode(HEADER));
        let all = format!("{},{message},{without_proof}", self.first);
        let client_key = self.hash.hmac(&salted, b"Client Key");
        let stored_key = self.hash.digest(&client_key);
        let signature = self.hash.hmac(&stored_key, all.as_bytes());
        let proof: Vec<u8> = client_key
            .iter()
            .zip(signature)
            .map(|(k, s)| k ^ s)
            .collect();
        let server_key = self.hash.hmac(&salted, b"Server Key");
        self.expected = Some(self.hash.hmac(&server_key, all.as_bytes()));
        let last = format!("{without_proof},p={}", BASE64.encode(proof));
        Ok(Some(last.into_bytes()))
    }
}

/// Looks at every byte, however soon they differ.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_nonce(hash: Hash, nonce: &str) -> Scram {
        let mut scram = Scram::new(hash, "user", "pencil", b"");
        scram.nonce = nonce.to_owned();
        scram.first = format!("n=user,r={nonce}");
        scram
    }

    fn text(token: Result<Option<Vec<u8>>, Disbelief>) -> String {
        String::from_utf8(token.unwrap().unwrap()).unwrap()
    }

    const SERVER_FIRST: &str =
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    #[test]
    fn the_exchange_of_rfc_7677_is_ours_byte_by_byte() {
        let mut scram = with_nonce(Hash::Sha256, "rOprNGfwEbeRWgbNEkqO");
        assert_eq!(scram.first(), b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        assert_eq!(
            text(scram.next(SERVER_FIRST.as_bytes())),
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        let proof = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
        assert_eq!(scram.next(proof), Ok(None));
    }

    #[test]
    fn sha_512_gives_what_another_implementation_gives() {
        let mut scram = with_nonce(Hash::Sha512, "rOprNGfwEbeRWgbNEkqO");
        let last = text(scram.next(SERVER_FIRST.as_bytes()));
        assert!(last.ends_with(",p=gMGXRcevScNtxZ6/8lQYpGtnsNAc3mGcmNomv+xnoOMw+3R2xNJdMNnzMlTN8PPC6wdp6dybEmDYXYTxwnYPJQ=="), "{last}");
        assert_eq!(scram.next(b"v=ZQnYEgWQMFmmsM8aQMF0nDDCy/AgCzkwk8CmMZYcMg0vSVlKDanekLtifDSeVGT4+5ZxXnJq199RVG2rR7N7Zw=="), Ok(None));
    }

    #[test]
    fn a_broker_that_does_not_know_the_password_is_not_believed() {
        let mut scram = with_nonce(Hash::Sha256, "rOprNGfwEbeRWgbNEkqO");
        scram.next(SERVER_FIRST.as_bytes()).unwrap();
        let wrong = b"v=AAAATRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
        let error = scram.next(wrong).unwrap_err().to_string();
        assert!(error.contains("does not prove"), "{error}");
        assert!(scram.next(b"v=").is_err() && scram.next(b"").is_err());
    }

    #[test]
    fn names_with_commas_and_equals_signs_are_escaped() {
        let scram = Scram::new(Hash::Sha256, "a=b,c", "p", &[7; 3]);
        assert_eq!(scram.first(), b"n,,n=a=3Db=2Cc,r=BwcH");
    }

    #[test]
    fn hostile_messages_are_refused_with_what_is_wrong() {
        let long = format!("r=abcd,s=YWJj,i=4096,x={}", "y".repeat(5000));
        for (message, why) in [
            ("", "has no r="),
            ("m=ext,r=abcd,s=YWJj,i=4096", "has no r="),
            ("r=abc,s=YWJj,i=4096", "our nonce"),
            ("r=xyz1234,s=YWJj,i=4096", "our nonce"),
            ("r=abcd,i=4096", "has no s="),
            ("r=abcd,s=%%%,i=4096", "no base64"),
            ("r=abcd,s=YWJj,i=1", "1 iterations"),
            ("r=abcd,s=YWJj,i=1000001", "1000001 iterations"),
            ("r=abcd,s=YWJj,i=99999999999999999999", "0 iterations"),
            ("r=abcd,s=YWJj", "has no i="),
            ("e=other-error", "other-error"),
            (&long, "longer than 4096"),
        ] {
            let error = with_nonce(Hash::Sha256, "abc").next(message.as_bytes());
            let error = error.unwrap_err().to_string();
            assert!(error.contains(why), "{message:?}: {error}");
        }
        assert!(with_nonce(Hash::Sha256, "abc").next(b"r=abc\xff").is_err());
    }
}
