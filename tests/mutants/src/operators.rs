//! What is changed into what.

use syn::{BinOp, Expr, GenericArgument, PathArguments, ReturnType, Type};

/// Functions that make messages; a message is no judgement.
pub const MESSAGES: [&str; 5] = ["details", "expecting", "fmt", "hint", "message"];

/// What a binary operator becomes.
pub fn binary(operator: &BinOp) -> &'static [&'static str] {
    match operator {
        BinOp::Eq(_) => &["!="],
        BinOp::Ne(_) => &["=="],
        BinOp::Lt(_) => &["<=", ">="],
        BinOp::Le(_) => &["<", ">"],
        BinOp::Gt(_) => &[">=", "<="],
        BinOp::Ge(_) => &[">", "<"],
        BinOp::And(_) => &["||"],
        BinOp::Or(_) => &["&&"],
        BinOp::Add(_) => &["-"],
        BinOp::Sub(_) => &["+"],
        BinOp::Mul(_) => &["/"],
        BinOp::Div(_) => &["*"],
        BinOp::Rem(_) => &["/"],
        BinOp::BitAnd(_) => &["|"],
        BinOp::BitOr(_) => &["&", "^"],
        BinOp::BitXor(_) => &["|"],
        BinOp::Shl(_) => &[">>"],
        BinOp::Shr(_) => &["<<"],
        BinOp::AddAssign(_) => &["-="],
        BinOp::SubAssign(_) => &["+="],
        BinOp::MulAssign(_) => &["/="],
        BinOp::DivAssign(_) => &["*="],
        BinOp::BitAndAssign(_) => &["|="],
        BinOp::BitOrAssign(_) => &["&="],
        BinOp::BitXorAssign(_) => &["|="],
        BinOp::ShlAssign(_) => &[">>="],
        BinOp::ShrAssign(_) => &["<<="],
        _ => &[],
    }
}

/// An operator's name in a mutant's id.
pub fn name(operator: &str) -> &'static str {
    match operator {
        "==" => "eq",
        "!=" => "ne",
        "<" => "lt",
        "<=" => "le",
        ">" => "gt",
        ">=" => "ge",
        "&&" => "and",
        "||" => "or",
        "+" => "add",
        "-" => "sub",
        "*" => "mul",
        "/" => "div",
        "%" => "rem",
        "&" => "bitand",
        "|" => "bitor",
        "^" => "bitxor",
        "<<" => "shl",
        ">>" => "shr",
        "+=" => "add-assign",
        "-=" => "sub-assign",
        "<<=" => "shl-assign",
        ">>=" => "shr-assign",
        _ => "assign",
    }
}

const METHODS: [(&str, &str, usize); 24] = [
    ("all", "any", 1),
    ("any", "all", 1),
    ("min", "max", 1),
    ("max", "min", 1),
    ("min", "max", 0),
    ("max", "min", 0),
    ("is_some_and", "is_none_or", 1),
    ("is_none_or", "is_some_and", 1),
    ("is_some", "is_none", 0),
    ("is_none", "is_some", 0),
    ("is_ok", "is_err", 0),
    ("is_err", "is_ok", 0),
    ("first", "last", 0),
    ("last", "first", 0),
    ("starts_with", "ends_with", 1),
    ("ends_with", "starts_with", 1),
    ("strip_prefix", "strip_suffix", 1),
    ("strip_suffix", "strip_prefix", 1),
    ("split_once", "rsplit_once", 1),
    ("rsplit_once", "split_once", 1),
    ("find", "rfind", 1),
    ("skip", "take", 1),
    ("take", "skip", 1),
    ("to_be_bytes", "to_le_bytes", 0),
];

/// What a method with so many arguments becomes.
pub fn method(name: &str, arguments: usize) -> Option<&'static str> {
    METHODS
        .iter()
        .find(|(from, _, count)| *from == name && *count == arguments)
        .map(|(_, to, _)| *to)
}

/// Whether a method's other is its opposite, so that under `!` it is the same mutant as without the `!`.
pub fn opposite(name: &str) -> bool {
    matches!(name, "is_some" | "is_none" | "is_ok" | "is_err")
}

/// Whether a method answers with a truth value and has no other.
pub fn answers(name: &str) -> bool {
    matches!(
        name,
        "is_empty" | "contains" | "contains_key" | "is_match" | "starts_with" | "ends_with"
    ) || name.starts_with("is_ascii")
        || name.starts_with("eq_ignore")
}

/// Whether a method asks a closure a question.
pub fn asks(name: &str) -> bool {
    matches!(
        name,
        "all"
            | "any"
            | "filter"
            | "find"
            | "is_none_or"
            | "is_some_and"
            | "partition"
            | "position"
            | "retain"
            | "rposition"
            | "skip_while"
            | "take_while"
    )
}

/// Whether a function reserves memory: its argument is a hint.
pub fn reserves(function: &Expr) -> bool {
    matches!(function, Expr::Path(path)
        if path.path.segments.last().is_some_and(|last| last.ident == "with_capacity"))
}

/// Whether an expression stands as a statement for its effect alone.
pub fn acts(expression: &Expr) -> bool {
    match expression {
        Expr::Try(_) | Expr::MethodCall(_) | Expr::Call(_) | Expr::Assign(_) => true,
        Expr::Binary(binary) => matches!(
            binary.op,
            BinOp::AddAssign(_)
                | BinOp::SubAssign(_)
                | BinOp::MulAssign(_)
                | BinOp::DivAssign(_)
                | BinOp::BitAndAssign(_)
                | BinOp::BitOrAssign(_)
                | BinOp::BitXorAssign(_)
                | BinOp::ShlAssign(_)
                | BinOp::ShrAssign(_)
        ),
        _ => false,
    }
}

fn generic(arguments: &PathArguments) -> Option<&Type> {
    match arguments {
        PathArguments::AngleBracketed(list) => {
            list.args.iter().find_map(|argument| match argument {
                GenericArgument::Type(of) => Some(of),
                _ => None,
            })
        }
        _ => None,
    }
}

/// What a function may return instead, by its return type.
pub fn defaults(output: &ReturnType) -> &'static [&'static str] {
    match output {
        ReturnType::Default => &["()"],
        ReturnType::Type(_, of) => values(of),
    }
}

fn values(of: &Type) -> &'static [&'static str] {
    match of {
        Type::Path(path) => {
            let Some(last) = path.path.segments.last() else {
                return &[];
            };
            match last.ident.to_string().as_str() {
                "bool" => &["true", "false"],
                "u8" | "u16" | "u32" | "u64" | "u128" | "usize" | "i8" | "i16" | "i32" | "i64"
                | "i128" => &["0", "1"],
                "String" | "Vec" | "BTreeMap" | "BTreeSet" => &["Default::default()"],
                "Option" => &["None"],
                "Result" => match generic(&last.arguments) {
                    Some(Type::Tuple(tuple)) if tuple.elems.is_empty() => &["Ok(())"],
                    Some(Type::Path(path))
                        if path
                            .path
                            .segments
                            .last()
                            .is_some_and(|s| s.ident == "Option") =>
                    {
                        &["Ok(None)"]
                    }
                    _ => &[],
                },
                _ => &[],
            }
        }
        Type::Reference(reference) => match &*reference.elem {
            Type::Path(path) if path.path.is_ident("str") => &["\"\""],
            Type::Slice(_) => &["&[]"],
            _ => &[],
        },
        _ => &[],
    }
}
