use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Scope, Template};

fn data() -> Value {
    json!({
        "Name": "/web", "ID": "abc", "Count": 3, "Real": 1.5, "Flag": true, "Empty": [], "Nil": null,
        "State": {"Status": "running", "Running": true, "ExitCode": 0},
        "Config": {"Env": ["A=1", "B=2"], "Labels": {"a.b": "c", "x": "y"}},
        "NetworkSettings": {"Networks": {"bridge": {"IPAddress": "1.2.3.4"}}},
    })
}

fn render(template: &str) -> Result<String, String> {
    let template = Template::parse(template).map_err(|error| error.to_string())?;
    template.render(&data(), Scope::default()).map_err(|error| error.to_string())
}

#[test]
fn table_of_templates() {
    let table = [
        ("plain", "plain"),
        ("{{.Name}}:{{.State.Status}}", "/web:running"),
        ("{{index .Config.Labels \"a.b\"}}", "c"),
        ("{{index .Config.Labels \"none\"}}|", "|"),
        ("{{.Config.Labels.none}}", "<no value>"),
        ("{{json .Config.Env}}", "[\"A=1\",\"B=2\"]"),
        ("{{.Config.Env}}", "[A=1 B=2]"),
        ("{{.Config.Labels}}", "map[a.b:c x:y]"),
        ("{{range .Config.Env}}<{{.}}>{{end}}", "<A=1><B=2>"),
        ("{{range $i, $e := .Config.Env}}{{if $i}},{{end}}{{$i}}={{$e}}{{end}}", "0=A=1,1=B=2"),
        ("{{range $k, $v := .NetworkSettings.Networks}}{{$k}} {{$v.IPAddress}}{{end}}", "bridge 1.2.3.4"),
        ("{{range .Empty}}x{{else}}none{{end}}", "none"),
        ("{{if .State.Running}}up{{else}}down{{end}}", "up"),
        ("{{if eq .Count 1}}a{{else if eq .Count 2 3}}b{{else}}c{{end}}", "b"),
        ("{{if .State.Health}}h{{else}}no{{end}}", "no"),
        ("{{with .State}}{{.Status}}{{end}}", "running"),
        ("{{with .Nil}}x{{else}}nil{{end}}", "nil"),
        ("{{.Name | upper | printf \"%s!\"}}", "/WEB!"),
        (
            "{{printf \"%-6s|%05d|%.2f|%q|%t|%x\" .ID .Count .Real .Name .Flag 255}}",
            "abc   |00003|1.50|\"/web\"|true|ff",
        ),
        ("{{len .Config.Env}} {{len .Name}}", "2 4"),
        ("{{split \"a,b\" \",\"}} {{join .Config.Env \";\"}}", "[a b] A=1;B=2"),
        ("{{slice .Name 1}} {{truncate .Name 2}} {{pad .ID 1 2}}|", "web /w  abc  |"),
        ("{{$x := .Count}}{{$x = 5}}{{$x}}", "5"),
        ("{{and .Flag .Count}} {{or .Nil \"x\"}} {{not .Flag}}", "3 x false"),
        ("{{lt 1 2}} {{ge 1.5 2}} {{ne \"a\" \"b\"}} {{gt \"b\" \"a\"}}", "true false true true"),
        ("a {{- /* note */ -}} b", "ab"),
        ("a  {{- .ID -}}  b", "aabcb"),
        ("{{println .ID .Count}}", "abc 3\n"),
        ("{{print 1 2 \"x\" 3}}", "1 2x3"),
        ("{{(index .Config.Env 0)}} {{(.State).Status}}", "A=1 running"),
        ("{{$.Name}}", "/web"),
        ("{{title \"hello world\"}} {{lower \"ABC\"}}", "Hello World abc"),
        ("{{range .Config.Env}}{{if eq . \"B=2\"}}{{break}}{{end}}{{.}}{{end}}", "A=1"),
        ("{{'a'}} {{0x10}} {{-3}} {{1e3}} {{`raw\\n`}}", "97 16 -3 1000 raw\\n"),
        ("{{json .Nil}} {{.Nil}}", "null <no value>"),
    ];
    for (template, expected) in table {
        assert_eq!(render(template).as_deref(), Ok(expected), "{template}");
    }
}

#[test]
fn mistakes_are_named() {
    let table = [
        ("{{.Foo}}", "map has no entry for key \"Foo\""),
        ("{{.State.Foo}}", "map has no entry for key \"Foo\""),
        ("{{", "unclosed action"),
        ("{{.Name", "unclosed action"),
        ("{{if .Name}}", "unexpected EOF"),
        ("{{end}}", "unexpected {{end}}"),
        ("{{nope .Name}}", "function \"nope\" not defined"),
        ("{{$x}}", "undefined variable \"$x\""),
        ("{{index .Config.Env 7}}", "out of range"),
        ("{{\"open}}", "unterminated quoted string"),
        ("{{(.Name}}", "unclosed left paren"),
        ("{{.Name)}}", "unexpected right paren"),
        ("{{}}", "missing value for command"),
        ("{{.Name.Foo}}", "can't evaluate field Foo"),
        ("{{lt 1 \"a\"}}", "incompatible types"),
        ("{{template \"x\"}}", "not supported"),
        ("{{break}}", "outside {{range}}"),
    ];
    for (template, expected) in table {
        let error = render(template).unwrap_err();
        assert!(error.contains(expected), "{template}: {error}");
    }
}

#[test]
fn labels_and_titles() {
    let labels = [("com.example.my-role".to_owned(), "db".to_owned())].into();
    let template = Template::parse("{{.Label \"com.example.my-role\"}} {{upper .ID}} {{.Nope}}").unwrap();
    let error = template.render(&json!({"ID": "x"}), Scope { labels: Some(&labels), header: false }).unwrap_err();
    assert!(error.to_string().contains("Nope"));
    let header = template.render(&json!({"ID": "Container"}), Scope { labels: None, header: true }).unwrap();
    assert_eq!(header, "my role Container <no value>");
    let template = Template::parse("{{.Label \"com.example.my-role\"}}").unwrap();
    assert_eq!(template.render(&json!({}), Scope { labels: Some(&labels), header: false }).unwrap(), "db");
}

#[test]
fn work_is_bounded() {
    let nested = "{{range 1000}}".repeat(5) + "x" + &"{{end}}".repeat(5);
    assert!(render(&nested).unwrap_err().contains("steps"));
    let deep = "{{if .Flag}}".repeat(1000);
    assert!(render(&deep).unwrap_err().contains("nested"));
    let parens = format!("{{{{{}.Name{}}}}}", "(".repeat(1000), ")".repeat(1000));
    assert!(render(&parens).unwrap_err().contains("nested"));
    assert!(render("{{printf \"%999999999d\" 1}}").unwrap().len() <= 4096);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn no_text_panics(text in "(\\{\\{|\\}\\}|[-.$|()a-zA-Z0-9\"'` :=,*/%\n]|if |range |with |else|end|json |index |printf |Name|State|slice ){0,30}") {
        drop(render(&text));
    }

    #[test]
    fn any_unicode(text in ".*") {
        drop(render(&format!("{{{{{text}}}}}")));
        drop(render(&text));
    }
}
