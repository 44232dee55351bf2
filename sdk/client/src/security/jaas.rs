//! Java's `sasl.jaas.config`: one login module with its options, of which name and password are of interest.

/// A login module of Kafka's, with a name and a password.
pub(crate) struct Login {
    pub(crate) is_scram: bool,
    pub(crate) username: String,
    pub(crate) password: String,
}

/// Reads `org.apache.kafka.common.security.scram.ScramLoginModule required username="u" password="p";`.
///
/// The error says what is wrong and repeats nothing of the text, which holds a password.
pub(crate) fn parse(text: &str) -> Result<Login, &'static str> {
    let mut words = words(text)?.into_iter();
    let module = words.next().unwrap_or_default();
    let is_scram = match module.rsplit('.').next() {
        Some("PlainLoginModule") => false,
        Some("ScramLoginModule") => true,
        Some(_) | None => return Err("need PlainLoginModule or ScramLoginModule"),
    };
    let flag = words.next().unwrap_or_default().to_ascii_lowercase();
    if !["required", "requisite", "sufficient", "optional"].contains(&flag.as_str()) {
        return Err("need `required` behind the login module");
    }
    let (mut username, mut password) = (None, None);
    loop {
        match words.next().as_deref() {
            Some(";") => break,
            Some(option) => {
                if words.next().as_deref() != Some("=") {
                    return Err("need option=\"value\"");
                }
                let value = words.next();
                match option {
                    "username" => username = value,
                    "password" => password = value,
                    "tokenauth" => return Err("delegation tokens are not built"),
                    _ => return Err("need username and password and no other options"),
                }
            }
            None => return Err("need a semicolon at the end"),
        }
    }
    if words.next().is_some() {
        return Err("need one login module");
    }
    Ok(Login {
        is_scram,
        username: username.ok_or("need username")?,
        password: password.ok_or("need password")?,
    })
}

/// Words, quoted texts, `=` and `;`, as Java's tokenizer tells them apart.
fn words(text: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => {}
            '=' | ';' => words.push(c.to_string()),
            '"' | '\'' => {
                let mut word = String::new();
                loop {
                    match chars.next().ok_or("a quote is not closed")? {
                        end if end == c => break,
                        '\\' => word.push(match chars.next().ok_or("a quote is not closed")? {
                            'n' => '\n',
                            't' => '\t',
                            'r' => '\r',
                            other => other,
                        }),
                        other => word.push(other),
                    }
                }
                words.push(word);
            }
            first => {
                let mut word = String::from(first);
                while let Some(next) =
                    chars.next_if(|c| !c.is_whitespace() && !matches!(c, '=' | ';' | '"' | '\''))
                {
                    word.push(next);
                }
                words.push(word);
            }
        }
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_and_password_come_out_as_java_reads_them() {
        let login = parse(
            "org.apache.kafka.common.security.scram.ScramLoginModule required\n  username=\"a b\" password=\"p\\\"=;q\" ;",
        );
        let login = login.ok().unwrap();
        assert!(login.is_scram);
        assert_eq!((&*login.username, &*login.password), ("a b", "p\"=;q"));
        let login = parse(
            "org.apache.kafka.common.security.plain.PlainLoginModule required username='u' password=p;",
        );
        assert!(!login.ok().unwrap().is_scram);
    }

    #[test]
    fn what_is_no_login_is_refused() {
        for text in [
            "",
            "OAuthBearerLoginModule required;",
            "PlainLoginModule username=\"u\";",
            "PlainLoginModule required username=\"u\" password=\"p\"",
            "PlainLoginModule required username=\"u;",
            "PlainLoginModule required username=\"u\";",
            "PlainLoginModule required username;",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
