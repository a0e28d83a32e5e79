use super::super::ImageListKind;
use super::super::tests::{images, names, read, refused, remarks};
use crate::format::limits::{
    DOCKERFILE_INSTRUCTION_LEN, DOCKERFILE_INSTRUCTIONS, IMAGE_LIST_ARGUMENTS,
};

const KIND: ImageListKind = ImageListKind::Dockerfile;

const FILE: &str = "\
# syntax=docker/dockerfile:1

ARG GO=1.25 ALPINE=\"3.22\"
ARG BASE=alpine:${ALPINE}
FROM --platform=$BUILDPLATFORM golang:${GO}-alpine AS Build
RUN --mount=type=cache,target=/c \\
    # a comment within
    --mount=type=bind,from=registry.example/tools:2,target=/t \\

    make
FROM build AS test
FROM scratch
COPY --from=build /a /a
COPY --from=0 /a /b
COPY --chown=1:1 --from=registry.example/assets:4 /x /x
from ${BASE}
COPY --from=later /a /a
FROM ${BASE} AS later
";

#[test]
fn stages_name_their_images() {
    assert_eq!(
        images(KIND, FILE),
        [
            ("golang:1.25-alpine".to_owned(), 5),
            ("registry.example/tools:2".to_owned(), 6),
            ("registry.example/assets:4".to_owned(), 15),
            ("alpine:3.22".to_owned(), 16),
        ]
    );
    let list = read(KIND, FILE).unwrap();
    let places: Vec<&str> = list.images.iter().map(|i| i.place.as_str()).collect();
    assert_eq!(
        places,
        ["stage Build", "RUN --mount", "COPY --from", "stage 3"]
    );
    let default = "its default; with another value this may be another image";
    assert_eq!(
        remarks(KIND, FILE),
        [
            "1 left out docker/dockerfile:1, which reads the Dockerfile and is no part of what is built",
            &format!("5 GO was taken to be \"1.25\", {default}"),
            "11 left out build, a stage of the same file",
            "12 left out scratch, which is no image",
            "13 left out build, a stage of the same file",
            "14 left out 0, a stage of the same file",
            &format!("16 BASE was taken to be \"alpine:3.22\", {default}"),
            "17 left out later, a stage of the same file",
        ]
    );
    let warnings = list
        .remarks
        .iter()
        .filter(|remark| remark.kind.is_warning());
    assert_eq!(warnings.count(), 3);
}

#[test]
fn only_a_stage_before_is_a_base() {
    assert_eq!(
        names(KIND, "FROM b\nFROM a AS b\nFROM B\nFROM a AS c"),
        ["b", "a"]
    );
    assert_eq!(names(KIND, "FROM a AS a\nFROM a AS b"), ["a"]);
    // The number of a stage is none.
    assert_eq!(names(KIND, "FROM a\nFROM 0"), ["a", "0"]);
    for number in ["1", "-1", "+7", "99999999999999999999"] {
        let text = format!("FROM a\nCOPY --from={number} a a\n");
        match number.len() {
            20 => assert_eq!(names(KIND, &text), ["a", number]),
            _ => refused(KIND, &text, "image-list-shape", Some(2)),
        }
    }
}

#[test]
fn variables_have_their_defaults() {
    let values = [
        ("ARG A=x\nFROM $A", "x"),
        ("ARG A=x\nFROM ${A}y", "xy"),
        ("ARG A=x\nARG A=y\nFROM $A", "y"),
        ("ARG A=x\nARG A\nFROM $A", "x"),
        ("ARG A=x\nARG B=${A}y\nFROM $B", "xy"),
        ("ARG A='x'\nFROM \"$A\"y", "xy"),
        ("ARG A=\"x\" B=y\nFROM $A$B", "xy"),
        ("FROM ${A:-x}", "x"),
        ("FROM ${A:-\"x\"}", "x"),
        ("ARG A=x\nFROM ${A:-y}", "x"),
        ("ARG A=\nFROM ${A:-y}", "y"),
        ("ARG A=\nFROM x${A-y}", "x"),
        ("ARG A=x\nFROM a${A:+y}", "ay"),
        ("FROM a${A:+y}", "a"),
        ("ARG A=x\nFROM ${A:?no}", "x"),
        ("FROM a\\$b", "a$b"),
        ("# escape=`\nFROM a`$b", "a$b"),
        ("FROM 'a$b'", "a$b"),
        ("ARG A=$UNKNOWN B=x\nFROM $B", "x"),
    ];
    for (text, name) in values {
        assert_eq!(names(KIND, text), [name], "{text:?}");
    }
}

#[test]
fn a_variable_without_a_default_is_refused_by_name() {
    for text in [
        "FROM $TAG",
        "FROM a:${TAG}",
        "ARG TAG\nFROM a:$TAG",
        "FROM a\nARG TAG=1\nFROM a:$TAG",
        "FROM ${TAG:?no}",
        "ARG TAG=\nFROM ${TAG:?no}",
        "ARG TAG=$OTHER\nFROM $TAG",
        "FROM ${A:-$TAG}",
    ] {
        let error = read(KIND, text).unwrap_err().to_string();
        assert!(error.contains("the variable TAG,"), "{text:?}: {error}");
    }
    for text in [
        "FROM a\nCOPY --from=$X a a",
        "FROM a\nRUN --mount=from=$X a",
    ] {
        refused(KIND, text, "image-list-variable-form", Some(2));
    }
    for text in [
        "FROM ${A%x}",
        "FROM ${A/x/y}",
        "FROM a$",
        "FROM ${A",
        "FROM \"a",
    ] {
        refused(KIND, text, "image-list-variable-form", Some(1));
    }
}

#[test]
fn defaults_cannot_grow_without_end() {
    let mut text = String::from("ARG A0=aaaaaaaa\n");
    for i in 1..60 {
        text += &format!("ARG A{i}=$A{0}$A{0}\n", i - 1);
    }
    refused(
        KIND,
        &format!("{text}FROM $A59"),
        "image-list-variable",
        Some(61),
    );
    assert_eq!(names(KIND, &format!("{text}FROM $A2")), ["a".repeat(32)]);
    let many: String = (0..=IMAGE_LIST_ARGUMENTS)
        .map(|i| format!("ARG A{i}=x\n"))
        .collect();
    refused(KIND, &format!("{many}FROM a"), "image-list-too-many", None);
}

#[test]
fn instructions_are_bounded() {
    let many = |count: usize| format!("FROM a\n{}", "RUN x\n".repeat(count - 1));
    assert_eq!(names(KIND, &many(DOCKERFILE_INSTRUCTIONS)), ["a"]);
    let more = many(DOCKERFILE_INSTRUCTIONS + 1);
    refused(KIND, &more, "image-list-too-many", None);
    let long = |len: usize| format!("FROM a\nRUN {}", "x".repeat(len - 4));
    assert_eq!(names(KIND, &long(DOCKERFILE_INSTRUCTION_LEN)), ["a"]);
    let longer = long(DOCKERFILE_INSTRUCTION_LEN + 1);
    refused(KIND, &longer, "image-list-shape", Some(2));
    let joined = format!("FROM a\nRUN {}", "x\\\n".repeat(DOCKERFILE_INSTRUCTION_LEN));
    refused(KIND, &joined, "image-list-shape", Some(2));
    // What a here-document holds is no part of it.
    let held = format!(
        "FROM a\nRUN <<E\n{}\nE\n",
        "x".repeat(DOCKERFILE_INSTRUCTION_LEN)
    );
    assert_eq!(names(KIND, &held), ["a"]);
}

#[test]
fn lines_are_joined_as_buildkit_does() {
    let joined = [
        ("FR\\\nOM a", vec!["a"]),
        ("FROM \\\n  # comment\n\n  a", vec!["a"]),
        ("FROM a \\  \n AS b\nFROM c", vec!["a", "c"]),
        // Twice, it is the character itself, and the line ends.
        ("FROM a\nRUN x \\\\\nFROM b", vec!["a", "b"]),
        ("FROM a\nRUN x \\\nFROM b", vec!["a"]),
        ("FROM a\nRUN x \\\n# y \\\nFROM b", vec!["a"]),
        ("# escape=`\nFROM a\nRUN x \\\nFROM b", vec!["a", "b"]),
        ("# escape=`\nFROM a\nRUN x `\nFROM b", vec!["a"]),
        // Behind anything else it is a comment.
        ("\n# escape=`\nFROM a\nRUN x \\\nFROM b", vec!["a"]),
        (
            "# a comment\n# escape=`\nFROM a\nRUN x \\\nFROM b",
            vec!["a"],
        ),
        (
            "# other=x\n# escape=`\nFROM a\nRUN x \\\nFROM b",
            vec!["a", "b"],
        ),
        ("FROM a\r\nRUN x \\\r\nFROM b\r\n", vec!["a"]),
        ("FROM a\r\nRUN x\r\n  FROM b\r\n", vec!["a", "b"]),
        (
            "#!/usr/bin/env x\n# escape=`\nFROM a\nRUN x \\\nFROM b",
            vec!["a", "b"],
        ),
        ("FROM a # AS b".split(" #").next().unwrap(), vec!["a"]),
    ];
    for (text, expected) in joined {
        assert_eq!(names(KIND, text), expected, "{text:?}");
    }
}

#[test]
fn here_documents_are_no_instructions() {
    let documents = [
        "RUN <<EOF\nFROM no\nEOF\n",
        "RUN cat <<EOF > /x\nFROM no\nEOF\n",
        "RUN cat <<-EOF\nFROM no\n\t\tEOF\n",
        "RUN cat <<'EOF' 3<<\"E2\"\nFROM no\nEOF\nFROM no\nE2\n",
        "COPY <<a.txt <<b.txt /\nFROM no\na.txt\nFROM no\nb.txt\n",
        "ADD <<E /x\nFROM no\n E\nE\n",
        "ONBUILD RUN <<E\nFROM no\nE\n",
        "RUN x \\\n <<E\nFROM no\nE\n",
        "RUN <<E\r\nFROM no\r\nE\r\n",
        "RUN cat <<E $HOME ${A} ${A:-b}\nFROM no\nE\n",
    ];
    for text in documents {
        assert_eq!(
            names(KIND, &format!("FROM a\n{text}FROM b\n")),
            ["a", "b"],
            "{text:?}"
        );
    }
}

#[test]
fn what_is_no_here_document_hides_nothing() {
    let lines = [
        "RUN cat<<EOF",
        "RUN echo \"<<EOF\"",
        "RUN echo '<<EOF'",
        "RUN echo \\<<EOF",
        "RUN x << EOF",
        "RUN x <<<EOF",
        "RUN x a<<EOF",
        "RUN x $((1<<2))",
        "RUN [\"x\", \"<<EOF\"]",
        "RUN [\"x\" , \"y <<EOF z\"]",
        "CMD x <<EOF",
        "ENV x <<EOF",
        "RUN ${A:-x <<EOF y}",
    ];
    for line in lines {
        assert_eq!(
            names(KIND, &format!("FROM a\n{line}\nFROM b\n")),
            ["a", "b"],
            "{line:?}"
        );
    }
}

#[test]
fn a_here_document_whose_end_cannot_be_told_is_refused() {
    for line in [
        "RUN <<EOF",
        "RUN <<$X",
        "RUN <<E\\OF",
        "RUN 'x <<EOF",
        "RUN ${x <<EOF",
        "RUN ${x!} <<EOF",
        "RUN ${x:?y} <<EOF",
        "RUN [\"x\"] <<EOF",
        "RUN [\"\\ud800\", <<EOF",
    ] {
        let text = format!("FROM a\n{line}\nFROM b\n$X\nE\\OF\n");
        refused(KIND, &text, "image-list-shape", Some(2));
    }
}

#[test]
fn sources_are_found_in_every_form() {
    let sources = [
        "COPY --from=b a a",
        "copy --link --from=b --chown=1 a a",
        "COPY \"--from=b\" a a".trim_start_matches('x'),
        "COPY --from='b' a a",
        "COPY --from=\\b a a",
        "COPY \\\n --from=b a a",
        "ONBUILD COPY --from=b a a",
        "ONBUILD RUN --mount=from=b x",
        "RUN --mount=type=bind,from=b,target=/x x",
        "RUN --mount=FROM=b x",
        "RUN --mount='type=bind,\"from=b\"' x",
        "RUN --network=none --mount=target=/x --mount=target=/y,from=b x",
    ];
    for line in sources {
        // A flag in quotes is no flag, to BuildKit neither.
        let expected: &[&str] = match line.starts_with("COPY \"") {
            true => &["a"],
            false => &["a", "b"],
        };
        assert_eq!(
            names(KIND, &format!("FROM a\n{line}\n")),
            expected,
            "{line:?}"
        );
    }
    for line in [
        "COPY a --from=b",
        "COPY -- --from=b a",
        "COPY --from= a a",
        "RUN x --mount=from=b",
        "RUN --mount=target=/from=b x",
        "ADD --from=b a a",
        "ENV x --from=b",
        "COPY --from=scratch a a",
    ] {
        assert_eq!(names(KIND, &format!("FROM a\n{line}\n")), ["a"], "{line:?}");
    }
    refused(
        KIND,
        "FROM a\nRUN --mount='\"from=b' x",
        "image-list-shape",
        Some(2),
    );
}

#[test]
fn what_is_no_dockerfile_is_refused() {
    refused(KIND, "FROM a\nhello\n", "image-list-instruction", Some(2));
    refused(KIND, "FROMM a\n", "image-list-instruction", Some(1));
    refused(
        KIND,
        "services:\n  a: {}\n",
        "image-list-instruction",
        Some(1),
    );
    refused(KIND, "a\n", "image-list-instruction", Some(1));
    for (text, line) in [
        ("FROM", 1),
        ("FROM a b", 1),
        ("FROM a b c", 1),
        ("FROM a AS b c", 1),
        ("RUN x\nFROM a", 1),
        ("# escape=x\nFROM a", 1),
        ("# escape=`\n# escape=`\nFROM a", 2),
        ("ARG A=\"x\nFROM a", 1),
    ] {
        refused(KIND, text, "image-list-shape", Some(line));
    }
}

#[test]
fn quotes_and_escapes_join_words() {
    let documents = [
        "RUN x \\\" <<E\nFROM no\nE\n",
        "RUN x{ <<E\nFROM no\nE\n",
        "RUN x \\u <<E\nFROM no\nE\n",
        "RUN [ -f x ] <<E\nFROM no\nE\n",
        "RUN cat <<E ${a_b} ${C_D:-e}\nFROM no\nE\n",
    ];
    let lines = [
        "RUN echo 'x <<EOF y'\n",
        "RUN echo \"x <<EOF y\"\n",
        "RUN ${A:-${B} <<EOF y}\n",
        "RUN x 'y\n",
        "RUN [\"${x\", \"<<EOF\"]\n",
        "RUN [\"x\"] a<<EOF\n",
        "RUN ${x!} a<<EOF\n",
    ];
    for text in documents.into_iter().chain(lines) {
        let text = format!("FROM a\n{text}FROM b\n");
        assert_eq!(names(KIND, &text), ["a", "b"], "{text:?}");
    }
}

#[test]
fn a_disputed_here_document_is_refused_though_it_ends() {
    for line in [
        "RUN <<\"\"",
        "RUN ${x!} <<EOF",
        "RUN ${x:?y} <<EOF",
        "RUN ${x} ${y:z} <<EOF",
        "RUN [\"x\"] <<EOF",
        "RUN [\"\\ud800\", <<EOF",
    ] {
        let text = format!("FROM a\n{line}\nFROM b\nEOF\n\n");
        refused(KIND, &text, "image-list-shape", Some(2));
    }
}

#[test]
fn values_are_what_a_shell_makes_of_them() {
    let values = [
        ("ARG A=x=y\nFROM a:$A", "a:x=y"),
        ("ARG A_B=x\nFROM $A_B", "x"),
        ("ARG _A=x\nFROM $_A", "x"),
        ("ARG A=x\nFROM ${A:?no}y${A}", "xyx"),
        ("FROM ${A:-\"x}y\"}", "x}y"),
        ("FROM \"a'b\"", "a'b"),
        ("FROM 'a'b'c'", "abc"),
        ("# escape=\\\nFROM \\\n a", "a"),
    ];
    for (text, name) in values {
        assert_eq!(names(KIND, text), [name], "{text:?}");
    }
    let many: String = (0..IMAGE_LIST_ARGUMENTS)
        .map(|i| format!("ARG A{i}=x\n"))
        .collect();
    assert_eq!(names(KIND, &format!("{many}FROM a")), ["a"]);
}

#[test]
fn flags_end_where_their_quotes_do() {
    for (line, expected) in [
        ("COPY --from=\"b\" a a", &["a", "b"][..]),
        ("RUN --mount=from=b=c x", &["a", "b=c"]),
        ("RUN --mount='\"target=/x,from=b\"' x", &["a"]),
    ] {
        let text = format!("FROM a\n{line}\n");
        assert_eq!(names(KIND, &text), expected, "{line:?}");
    }
    // An instruction begins where its first line does, if only with the mark that it goes on.
    assert_eq!(images(KIND, "\\\nFROM a"), [("a".to_owned(), 1)]);
}

#[test]
fn directives_are_a_name_and_a_value() {
    let rest = "# escape=`\nFROM a\nRUN x \\\nFROM b";
    for (head, is_directive) in [
        ("# other=x", true),
        ("#a1 = x", true),
        ("# other=x=y", true),
        ("# a-b=x", false),
        ("# 1a=x", false),
        ("# \u{e4}b=x", false),
        ("# =x", false),
        ("# other=", false),
        ("# other", false),
    ] {
        let expected: &[&str] = if is_directive { &["a", "b"] } else { &["a"] };
        assert_eq!(
            names(KIND, &format!("{head}\n{rest}")),
            expected,
            "{head:?}"
        );
    }
}

#[test]
fn the_first_front_end_is_told() {
    let told = remarks(KIND, "# syntax=a\n# syntax=b\nFROM c");
    let first = "1 left out a, which reads the Dockerfile and is no part of what is built";
    assert_eq!(told, [first]);
}
