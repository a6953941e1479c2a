use serde_json::json;

use super::{super::tests::Token, *};

fn token() -> Token {
    Token(json!({
        "sub": "alice",
        "name": "Bjørn, Å {x}",
        "n": 7,
        "yes": true,
        "groups": ["a,b", "c d", "é", " x", "a\nb", 3, ["z"], "tab\t"],
        "empty": [],
        "nothing": "",
        "end": "x ",
        "org": { "id": "acme", "roles": ["r1", "r2"] },
        "email": "alice@example.com",
    }))
}

#[track_caller]
fn render(template: &str, separator: char, encoding: Encoding) -> Option<String> {
    let template = Template::parse(template).unwrap().with_format(separator, encoding);
    template.render(&token(), 1000, &mut |_, _| ()).unwrap()
}

#[test]
fn a_template_with_a_missing_claim_is_left_out() {
    let cases = [
        ("{sub}", Some("alice")),
        ("{sub}@{/org/id}", Some("alice@acme")),
        ("{{{sub}}", Some("{alice}")),
        ("{{sub}} {n}", Some("{sub}} 7")),
        ("{n}/{yes}", Some("7/true")),
        ("r={/org/roles};", Some("r=r1,r2;")),
        ("{/org/roles/1}", Some("r2")),
        ("{groups}", Some("c d,é,3")),
        ("{name}", Some("Bjørn, Å {x}")),
        ("{sub} {missing}", None),
        ("{sub} {empty}", None),
        ("{sub} {nothing}", None),
        ("{end}", None),
        ("{org}", None),
    ];
    for (template, expected) in cases {
        assert_eq!(render(template, ',', Encoding::Utf8).as_deref(), expected, "{template}");
    }
    for broken in ["", "sub", "{", "{}", "{sub", "a{ sub}", "{sub }", "{/}", "{/a~2}", "{{sub}}", "{sub}{"] {
        assert_eq!(Template::parse(broken), None, "{broken}");
    }
}

#[test]
fn an_item_with_the_separator_is_left_out() {
    for (separator, encoding, expected) in [
        (',', Encoding::Utf8, "c d,é,3"),
        ('|', Encoding::Utf8, "a,b|c d|é|3"),
        (' ', Encoding::Utf8, "a,b é 3"),
        (',', Encoding::Percent, "a%2Cb,c%20d,%C3%A9,3"),
        // A separator that needs no escape.
        ('d', Encoding::Percent, "a%2Cbd%C3%A9d3"),
    ] {
        assert_eq!(render("{groups}", separator, encoding).as_deref(), Some(expected), "{separator}");
    }
}

#[test]
fn non_ascii_text_has_the_configured_encoding() {
    assert_eq!(render("<{name}>", ',', Encoding::Percent).unwrap(), "<Bj%C3%B8rn%2C%20%C3%85%20%7Bx%7D>");
    let whole = render("<{name}>", ',', Encoding::Base64Url).unwrap();
    assert_eq!(URL_SAFE_NO_PAD.decode(whole).unwrap(), "<Bjørn, Å {x}>".as_bytes());
}

/// The text that the template makes of this claim `c`, and the reports.
fn rendered(template: &Template, claim: Value, longest: usize) -> (Result<Option<String>, Unfit>, Vec<Unfit>) {
    let mut found = Vec::new();
    let text = template.render(&Token(json!({ "c": claim })), longest, &mut |_, unfit| found.push(unfit));
    (text, found)
}

#[test]
fn malformed_values_are_left_out_and_reported() {
    use Unfit::{ItemsSeparator, ItemsShape, ItemsUnclean, Shape as Odd, Unclean};
    let cases: [(Value, Option<&str>, &[Unfit]); 20] = [
        (json!("[admins, staff]"), None, &[Odd(Shape::SerializedText)]),
        (json!("[\"admins\",\"staff\"]"), None, &[Odd(Shape::SerializedText)]),
        (json!("['admins']"), None, &[Odd(Shape::SerializedText)]),
        (json!("{admins,staff}"), None, &[Odd(Shape::SerializedText)]),
        (json!("[]"), None, &[Odd(Shape::SerializedText)]),
        (json!({ "admins": {} }), None, &[Odd(Shape::Object)]),
        (json!({}), None, &[Odd(Shape::Object)]),
        (json!([["admins"], ["staff"]]), None, &[ItemsShape, ItemsShape]),
        (json!([{ "name": "admins" }, "staff"]), Some("staff"), &[ItemsShape]),
        (json!([null, "staff", "", 3]), Some("staff,3"), &[ItemsShape]),
        (json!(["a,b", "staff"]), Some("staff"), &[ItemsSeparator]),
        (json!(["a\r\nx-user: b", " c", "staff"]), Some("staff"), &[ItemsUnclean, ItemsUnclean]),
        (json!("a\nb"), None, &[Unclean]),
        (json!("a "), None, &[Unclean]),
        (json!(7), Some("7"), &[]),
        (json!("[Team] admins"), Some("[Team] admins"), &[]),
        (json!(["[Team]"]), Some("[Team]"), &[]),
        (json!(null), None, &[]),
        (json!(""), None, &[]),
        (json!([]), None, &[]),
    ];
    let claim = Template::of(ClaimPath::parse("c").unwrap());
    for (value, text, reported) in cases {
        let expected = (Ok(text.map(str::to_owned)), reported.to_vec());
        assert_eq!(rendered(&claim, value.clone(), 100), expected, "{value}");
    }
    // Percent-encoded it is one value.
    let percent = claim.with_format(',', Encoding::Percent);
    assert_eq!(rendered(&percent, json!("[a, b]"), 100), (Ok(Some("%5Ba%2C%20b%5D".to_owned())), vec![]));
}

#[test]
fn a_long_text_is_left_out_or_cut_between_items_or_refused() {
    let claim = |too_long| Template::of(ClaimPath::parse("c").unwrap()).with_too_long(too_long);
    let groups = || json!(["one", "two", "three", "x"]);
    let long = |length| Unfit::TooLong { length, longest: 8 };
    let cut = |length, longest| vec![Unfit::Cut { length, longest }];
    let some = |text: &str| Ok(Some(text.to_owned()));
    assert_eq!(rendered(&claim(TooLong::LeaveOut), groups(), 8), (Ok(None), vec![long(15)]));
    assert_eq!(rendered(&claim(TooLong::Refuse), groups(), 8), (Err(long(15)), vec![long(15)]));
    // No item after the cut is included, even if it would fit.
    assert_eq!(rendered(&claim(TooLong::Cut), groups(), 8), (some("one,two"), cut(15, 8)));
    assert_eq!(rendered(&claim(TooLong::Cut), groups(), 7), (some("one,two"), cut(15, 7)));
    assert_eq!(rendered(&claim(TooLong::Cut), groups(), 6), (some("one"), cut(15, 6)));
    assert_eq!(rendered(&claim(TooLong::Cut), groups(), 2), (Ok(None), cut(15, 2)));
    assert_eq!(rendered(&claim(TooLong::Cut), groups(), 15), (some("one,two,three,x"), vec![]));
    // A text has no place to be cut at.
    assert_eq!(rendered(&claim(TooLong::Cut), json!("123456789"), 8), (Ok(None), vec![long(9)]));
    // The limit applies to the encoded text.
    let encoded = claim(TooLong::Cut).with_format(',', Encoding::Base64Url);
    assert_eq!(rendered(&encoded, groups(), 8), (some("b25l"), cut(15, 6)));
    let encoded = claim(TooLong::Cut).with_format(',', Encoding::Percent);
    assert_eq!(rendered(&encoded, json!(["é", "é"]), 8), (some("%C3%A9"), cut(13, 8)));
}

#[test]
fn verified_only_requires_the_claim_email_verified() {
    let template = Template::parse("{email}").unwrap();
    for (said, is_told, is_told_verified) in [
        (None, true, false),
        (Some(json!(true)), true, true),
        (Some(json!("true")), true, true),
        (Some(json!(false)), false, false),
    ] {
        let mut claims = json!({ "email": "alice@example.com" });
        claims.as_object_mut().unwrap().extend(said.map(|said| ("email_verified".to_owned(), said)));
        let told =
            |template: &Template| template.render(&Token(claims.clone()), 100, &mut |_, _| ()).unwrap().is_some();
        assert_eq!((told(&template), told(&template.clone().verified_only())), (is_told, is_told_verified), "{claims}");
    }
}

#[test]
fn an_address_is_rendered_unless_email_verified_is_not_true() {
    for template in ["{email}", "x {/email}"] {
        let template = Template::parse(template).unwrap();
        for (said, is_there) in
            [(json!(true), true), (json!("true"), true), (json!(false), false), (json!(null), false)]
        {
            let mut token = token();
            token.0["email_verified"] = said;
            assert_eq!(template.render(&token, 1000, &mut |_, _| ()).unwrap().is_some(), is_there, "{template:?}");
        }
    }
}
