use super::{file, report};

const HERE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/tests/mistakes.txt");

#[test]
fn every_mistake_is_reported_with_its_line_and_column() {
    let text = std::fs::read_to_string(HERE).unwrap();
    let mut written = Vec::new();
    for block in text.trim_end().split("\n\n") {
        let first = block.lines().next().unwrap();
        let Some((name, replacement)) = first.split_once(": ").filter(|_| !first.starts_with('#')) else {
            assert!(!block.contains('\n') || block.lines().all(|line| line.starts_with('#')), "{block}");
            written.push(block.to_owned());
            continue;
        };
        let (old, new) = replacement.split_once("=>").unwrap();
        let [old, new] = [old.strip_suffix(' ').unwrap(), new.strip_prefix(' ').unwrap_or(new)]
            .map(|part| part.replace("\\n", "\n").replace("\\t", "\t"));
        let before = file(name);
        assert_eq!(before.matches(&old).count(), 1, "{first}");
        let report = report(name, &before.replace(&old, &new));
        let findings = report.text.split("\n\n").next().unwrap().trim_end();
        let lines =
            findings.lines().map(|line| line.strip_prefix(name).and_then(|rest| rest.strip_prefix(':')).unwrap());
        let lines: Vec<_> = lines.map(|line| format!("  {}", line.trim_start())).collect();
        written.push(format!("{first}\n{}", lines.join("\n")));
    }
    let written = format!("{}\n", written.join("\n\n"));
    if std::env::var_os("UPDATE_REPORTS").is_some() {
        std::fs::write(HERE, written).unwrap();
    } else {
        assert_eq!(written, text);
    }
}
