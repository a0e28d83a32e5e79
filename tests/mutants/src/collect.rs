//! Finds the mutants of one file.

use std::collections::BTreeMap;
use std::mem::discriminant;
use std::ops::Range;

use proc_macro2::Span;
use syn::parse::Parser as _;
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{Attribute, BinOp, Block, Expr, Ident, Lit, Pat, ReturnType, Stmt, Token, Type, UnOp};

use crate::operators;
use crate::site::{Number, Piece, Site};

/// One change that can be switched on.
#[derive(Debug)]
pub struct Mutant {
    /// Its switch.
    pub number: Number,
    /// File, function, operator and occurrence: the same as long as the function is.
    pub id: String,
    /// Line of the source, from 1.
    pub line: usize,
    /// The change, on one line.
    pub change: String,
}

/// What is found in all files.
#[derive(Debug, Default)]
pub struct Found {
    /// Mutants in order; number `n` is at `n - 1`.
    pub mutants: Vec<Mutant>,
    /// How many were passed over, by rule.
    pub excluded: BTreeMap<&'static str, usize>,
}

/// Finds the mutants of a file and the sites where they are switched.
pub fn collect(
    found: &mut Found,
    file: &str,
    source: &str,
    dropped: &dyn Fn(&str) -> bool,
) -> syn::Result<Vec<Site>> {
    let tree = syn::parse_file(source)?;
    let mut collector = Collector {
        found,
        file,
        source,
        dropped,
        path: Vec::new(),
        occurrences: BTreeMap::new(),
        excluded: None,
        negated: false,
        sites: vec![Vec::new()],
    };
    collector.visit_file(&tree);
    Ok(collector.sites.pop().expect("as pushed"))
}

struct Collector<'a> {
    found: &'a mut Found,
    file: &'a str,
    source: &'a str,
    dropped: &'a dyn Fn(&str) -> bool,
    path: Vec<String>,
    occurrences: BTreeMap<String, usize>,
    /// Rule by which nothing is changed here.
    excluded: Option<&'static str>,
    /// The next expression stands under a `!` that a mutant removes.
    negated: bool,
    /// Sites found, one list for each site that is open.
    sites: Vec<Vec<Site>>,
}

fn bytes(node: &impl Spanned) -> Range<usize> {
    node.span().byte_range()
}

fn on(number: Number) -> String {
    format!("crate::mutant::on({number})")
}

fn text(text: impl Into<String>) -> Piece {
    Piece::Text(text.into())
}

/// One alternative of a site: the mutant and what it puts there.
type Alternative = (Number, Vec<Piece>);

impl Collector<'_> {
    /// Notes a mutant; `None` where it is excluded or was dropped.
    fn mutant(
        &mut self,
        operator: &str,
        at: Span,
        from: &Range<usize>,
        to: &str,
    ) -> Option<Number> {
        if let Some(rule) = self.excluded {
            *self.found.excluded.entry(rule).or_default() += 1;
            return None;
        }
        let place = format!("{}:{}:{operator}", self.file, self.path.join("::"));
        let occurrence = self.occurrences.entry(place.clone()).or_default();
        *occurrence += 1;
        let id = format!("{place}:{occurrence}");
        let number = Number::try_from(self.found.mutants.len() + 1).expect("few mutants");
        let kept = !(self.dropped)(&id);
        self.found.mutants.push(Mutant {
            number,
            id,
            line: at.start().line,
            change: format!("{} -> {to}", one_line(&self.source[from.clone()])),
        });
        kept.then_some(number)
    }

    /// Replaces a stretch by pieces, around what is found within.
    fn site(
        &mut self,
        range: Range<usize>,
        mutants: Vec<Number>,
        pieces: Vec<Piece>,
        within: impl FnOnce(&mut Self),
    ) {
        self.sites.push(Vec::new());
        within(self);
        let mut children = self.sites.pop().expect("as pushed");
        let list = self.sites.last_mut().expect("never empty");
        if mutants.is_empty() {
            list.append(&mut children);
        } else {
            list.push(Site {
                range,
                pieces,
                mutants,
                children,
            });
        }
    }

    /// An expression with alternatives: `(if on(1) { .. } else if on(2) { .. } else { itself })`.
    fn choose(
        &mut self,
        range: Range<usize>,
        alternatives: Vec<Alternative>,
        within: impl FnOnce(&mut Self),
    ) {
        let mut pieces = vec![text("(")];
        let mut mutants = Vec::new();
        for (number, replacement) in alternatives {
            pieces.push(text(format!("if {} {{ ", on(number))));
            pieces.push(Piece::Open(number));
            pieces.extend(replacement);
            pieces.push(Piece::Close(number));
            pieces.push(text(" } else "));
            mutants.push(number);
        }
        pieces.extend([text("{ "), Piece::Inner, text(" })")]);
        self.site(range, mutants, pieces, within);
    }

    /// A truth value that may be forced: `(on(1) || !on(2) && (itself))`.
    fn force(
        &mut self,
        range: Range<usize>,
        to_true: Option<Number>,
        to_false: Option<Number>,
        within: impl FnOnce(&mut Self),
    ) {
        let mut before = String::from("(");
        if let Some(number) = to_true {
            before.push_str(&format!("{} || ", on(number)));
        }
        if let Some(number) = to_false {
            before.push_str(&format!("!{} && ", on(number)));
        }
        before.push('(');
        self.site(
            range,
            to_true.into_iter().chain(to_false).collect(),
            vec![text(before), Piece::Inner, text("))")],
            within,
        );
    }

    /// A truth value that is replaced by its opposite: `((itself) != on(1))`.
    fn negate(&mut self, range: Range<usize>, number: Option<Number>, e: impl FnOnce(&mut Self)) {
        let after = number.map_or_else(String::new, |number| format!(") != {})", on(number)));
        self.site(
            range,
            number.into_iter().collect(),
            vec![text("(("), Piece::Inner, text(after)],
            e,
        );
    }

    /// A condition: true and false; the plain operands of a let-chain: true.
    fn condition(&mut self, operator: &str, condition: &Expr, truth: bool) {
        if let Expr::Let(chained) = condition {
            self.visit_expr(&chained.expr);
        } else if has_let(condition) {
            if let Expr::Binary(chain) = condition {
                self.condition("chain", &chain.left, true);
                self.condition("chain", &chain.right, true);
            }
        } else {
            let range = bytes(condition);
            let span = condition.span();
            let to_true = truth
                .then(|| self.mutant(operator, span, &range, "true"))
                .flatten();
            let to_false = self.mutant(operator, span, &range, "false");
            self.force(range, to_true, to_false, |c| c.visit_expr(condition));
        }
    }

    fn operand(&mut self, operator: &BinOp, operand: &Expr) {
        let inner = match operand {
            Expr::Paren(paren) => &paren.expr,
            other => other,
        };
        if let Expr::Binary(binary) = inner
            && discriminant(&binary.op) == discriminant(operator)
        {
            return self.visit_expr(operand);
        }
        let range = bytes(operand);
        let and = matches!(operator, BinOp::And(_));
        let value = if and { "true" } else { "false" };
        let number = self.mutant("operand", operand.span(), &range, value);
        let (to_true, to_false) = if and { (number, None) } else { (None, number) };
        self.force(range, to_true, to_false, |c| c.visit_expr(operand));
    }

    fn binary(&mut self, whole: &Expr, binary: &syn::ExprBinary) {
        let range = bytes(whole);
        let (left, right) = (bytes(&binary.left), bytes(&binary.right));
        let mut alternatives = Vec::new();
        for other in operators::binary(&binary.op) {
            let name = operators::name(&self.source[bytes(&binary.op)]);
            let number = self.mutant(name, binary.op.span(), &range, other);
            if let Some(number) = number {
                let pieces = vec![
                    text("("),
                    Piece::Copy(left.clone()),
                    text(format!(") {other} (")),
                    Piece::Copy(right.clone()),
                    text(")"),
                ];
                alternatives.push((number, pieces));
            }
        }
        self.choose(range, alternatives, |c| match binary.op {
            BinOp::And(_) | BinOp::Or(_) => {
                c.operand(&binary.op, &binary.left);
                c.operand(&binary.op, &binary.right);
            }
            _ => {
                c.visit_expr(&binary.left);
                c.visit_expr(&binary.right);
            }
        });
    }

    fn unary(&mut self, whole: &Expr, unary: &syn::ExprUnary) {
        let name = match unary.op {
            UnOp::Not(_) => "not",
            UnOp::Neg(_) => "neg",
            _ => return self.visit_expr(&unary.expr),
        };
        let (range, operand) = (bytes(whole), bytes(&unary.expr));
        let without = one_line(&self.source[operand.clone()]);
        let number = self.mutant(name, unary.op.span(), &range, &without);
        let alternatives = number.map(|number| (number, vec![Piece::Copy(operand)]));
        self.choose(range, alternatives.into_iter().collect(), |c| {
            c.negated = name == "not";
            c.visit_expr(&unary.expr);
            c.negated = false;
        });
    }

    fn method_call(&mut self, whole: &Expr, call: &syn::ExprMethodCall) {
        let negated = std::mem::take(&mut self.negated);
        let name = call.method.to_string();
        let (range, method) = (bytes(whole), bytes(&call.method));
        let args = call.args.len();
        let mut alternatives = Vec::new();
        if let Some(other) = operators::method(&name, args)
            && !(negated && operators::opposite(&name))
            && let Some(number) = self.mutant("method", call.method.span(), &method, other)
        {
            let pieces = vec![
                Piece::Copy(range.start..method.start),
                text(other),
                Piece::Copy(method.end..range.end),
            ];
            alternatives.push((number, pieces));
        }
        let opposite = if operators::answers(&name) && !negated {
            self.mutant("answer", call.method.span(), &method, "its opposite")
        } else {
            None
        };
        self.choose(range.clone(), alternatives, |c| {
            c.negate(range, opposite, |c| c.method_parts(call, &name));
        });
    }

    fn method_parts(&mut self, call: &syn::ExprMethodCall, name: &str) {
        if matches!(name, "then" | "then_some") {
            self.condition("then", &call.receiver, true);
        } else {
            self.visit_expr(&call.receiver);
        }
        for argument in &call.args {
            match argument {
                Expr::Closure(closure) if operators::asks(name) && closure.output_is_default() => {
                    self.condition("closure", &closure.body, true);
                }
                other => self.visit_expr(other),
            }
        }
    }

    fn literal(&mut self, literal: &syn::ExprLit) {
        let range = bytes(literal);
        let (name, other) = match &literal.lit {
            Lit::Int(int) => {
                let Some(next) = int
                    .base10_parse::<u128>()
                    .ok()
                    .and_then(|n| n.checked_add(1))
                else {
                    return;
                };
                ("integer", format!("{next}{}", int.suffix()))
            }
            Lit::Bool(bool) => ("bool", (!bool.value).to_string()),
            _ => return,
        };
        let number = self.mutant(name, literal.span(), &range, &other);
        let alternatives = number.map(|number| (number, vec![text(other)]));
        self.choose(range, alternatives.into_iter().collect(), |_| {});
    }

    fn matching(&mut self, found: &syn::ExprMatch) {
        self.visit_expr(&found.expr);
        let last = found.arms.len().saturating_sub(1);
        let fallback = found
            .arms
            .last()
            .is_some_and(|arm| arm.guard.is_none() && catches_all(&arm.pat));
        for (at, arm) in found.arms.iter().enumerate() {
            if is_test(&arm.attrs) {
                continue;
            }
            if let Some((_, guard)) = &arm.guard {
                self.condition("guard", guard, true);
            } else if fallback && at != last {
                let pattern = bytes(&arm.pat);
                if let Some(number) = self.mutant("arm", arm.pat.span(), &pattern, "no arm") {
                    let pieces = vec![text(format!(" if !{} ", on(number)))];
                    self.site(pattern.end..pattern.end, vec![number], pieces, |_| {});
                }
            }
            self.visit_expr(&arm.body);
        }
    }

    /// A statement for its effect, which may be left out.
    fn statement(&mut self, statement: &Stmt, expression: &Expr) {
        let range = bytes(statement);
        if let Some(number) = self.mutant("statement", expression.span(), &range, "nothing") {
            let pieces = vec![
                text(format!("if !{} {{ ", on(number))),
                Piece::Inner,
                text(" }"),
            ];
            self.site(range, vec![number], pieces, |c| c.visit_expr(expression));
        } else {
            self.visit_expr(expression);
        }
    }

    /// Returns early with what the type has by default.
    fn function(&mut self, name: &Ident, output: &ReturnType, block: &Block) {
        let whole = bytes(block);
        let at = whole.start + 1;
        if block.stmts.is_empty() {
            return;
        }
        let from = bytes(name);
        for value in operators::defaults(output) {
            if let Some(number) = self.mutant("body", name.span(), &from, value) {
                let pieces = vec![
                    text(format!(" if {} {{ ", on(number))),
                    Piece::Open(number),
                    text(format!("return {value};")),
                    Piece::Close(number),
                    text(" }"),
                ];
                self.site(at..at, vec![number], pieces, |_| {});
            }
        }
        self.visit_block(block);
    }

    fn under(&mut self, name: String, within: impl FnOnce(&mut Self)) {
        self.path.push(name);
        within(self);
        self.path.pop();
    }

    fn excluding(&mut self, rule: Option<&'static str>, within: impl FnOnce(&mut Self)) {
        let before = self.excluded;
        self.excluded = before.or(rule);
        within(self);
        self.excluded = before;
    }

    fn a_function(&mut self, signature: &syn::Signature, block: &Block) {
        let name = signature.ident.to_string();
        let rule = if signature.constness.is_some() {
            Some("constant")
        } else if operators::MESSAGES.contains(&name.as_str()) {
            Some("message")
        } else {
            None
        };
        self.under(name, |c| {
            c.excluding(rule, |c| {
                c.function(&signature.ident, &signature.output, block);
            });
        });
    }

    fn arguments<P: Spanned>(&mut self, list: Punctuated<Expr, P>, texts: usize) {
        for argument in list.iter().skip(texts) {
            match argument {
                Expr::Assign(named) => self.visit_expr(&named.right),
                other => self.visit_expr(other),
            }
        }
    }

    fn a_macro(&mut self, found: &syn::Macro, range: Range<usize>) {
        let negated = std::mem::take(&mut self.negated);
        let name = found.path.segments.last().map(|s| s.ident.to_string());
        let tokens = found.tokens.clone();
        let list = Punctuated::<Expr, Token![,]>::parse_terminated;
        match name.as_deref() {
            Some("matches") => {
                let parts = |input: syn::parse::ParseStream<'_>| {
                    let value: Expr = input.parse()?;
                    input.parse::<Token![,]>()?;
                    Pat::parse_multi_with_leading_vert(input)?;
                    let guard = if input.peek(Token![if]) {
                        input.parse::<Token![if]>()?;
                        Some(input.parse::<Expr>()?)
                    } else {
                        None
                    };
                    input.parse::<Option<Token![,]>>()?;
                    Ok((value, guard))
                };
                let Ok((value, guard)) = parts.parse2(tokens) else {
                    return;
                };
                let number = if negated {
                    None
                } else {
                    self.mutant("answer", found.path.span(), &range, "its opposite")
                };
                self.negate(range, number, |c| {
                    c.visit_expr(&value);
                    if let Some(guard) = guard {
                        c.condition("guard", &guard, true);
                    }
                });
            }
            Some("vec") => {
                if let Ok(elements) = list.parse2(tokens) {
                    self.arguments(elements, 0);
                }
            }
            Some("format") => {
                if let Ok(arguments) = list.parse2(tokens) {
                    self.arguments(arguments, 1);
                }
            }
            Some("write") => {
                if let Ok(arguments) = list.parse2(tokens) {
                    self.arguments(arguments, 2);
                }
            }
            _ => {}
        }
    }
}

trait ClosureOutput {
    fn output_is_default(&self) -> bool;
}

impl ClosureOutput for syn::ExprClosure {
    fn output_is_default(&self) -> bool {
        matches!(self.output, ReturnType::Default)
    }
}

fn one_line(source: &str) -> String {
    let words: Vec<&str> = source.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(90) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

fn has_let(condition: &Expr) -> bool {
    match condition {
        Expr::Let(_) => true,
        Expr::Binary(binary) if matches!(binary.op, BinOp::And(_)) => {
            has_let(&binary.left) || has_let(&binary.right)
        }
        _ => false,
    }
}

/// Whether code is compiled for tests only.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.meta.require_list().is_ok_and(|list| {
                let condition = list.tokens.to_string();
                condition == "test" || condition.starts_with("all (test")
            })
    })
}

/// Whether a pattern matches everything: `_` or a new name.
fn catches_all(pattern: &Pat) -> bool {
    match pattern {
        Pat::Wild(_) => true,
        Pat::Ident(name) => {
            name.subpat.is_none() && name.ident.to_string().starts_with(char::is_lowercase)
        }
        _ => false,
    }
}

fn last_name(path: &syn::Path) -> String {
    path.segments
        .last()
        .map_or_else(String::new, |segment| segment.ident.to_string())
}

fn type_name(of: &Type) -> String {
    match of {
        Type::Path(path) => last_name(&path.path),
        Type::Reference(reference) => type_name(&reference.elem),
        _ => "_".to_owned(),
    }
}

impl<'ast> Visit<'ast> for Collector<'_> {
    fn visit_expr(&mut self, e: &'ast Expr) {
        match e {
            Expr::MethodCall(call) => return self.method_call(e, call),
            Expr::Macro(found) => return self.a_macro(&found.mac, bytes(e)),
            Expr::Paren(_) => return visit::visit_expr(self, e),
            _ => self.negated = false,
        }
        match e {
            Expr::Binary(binary) => self.binary(e, binary),
            Expr::Unary(unary) => self.unary(e, unary),
            Expr::Lit(literal) => self.literal(literal),
            Expr::If(found) => {
                self.condition("if", &found.cond, true);
                self.visit_block(&found.then_branch);
                if let Some((_, other)) = &found.else_branch {
                    self.visit_expr(other);
                }
            }
            Expr::While(found) => {
                self.condition("while", &found.cond, false);
                self.visit_block(&found.body);
            }
            Expr::Match(found) => self.matching(found),
            Expr::Repeat(repeat) => self.visit_expr(&repeat.expr),
            Expr::Const(block) => self.excluding(Some("constant"), |c| c.visit_block(&block.block)),
            Expr::Call(call) if operators::reserves(&call.func) => {
                self.excluding(Some("capacity"), |c| visit::visit_expr_call(c, call));
            }
            _ => visit::visit_expr(self, e),
        }
    }

    fn visit_stmt(&mut self, s: &'ast Stmt) {
        match s {
            Stmt::Expr(e, Some(_)) if operators::acts(e) => self.statement(s, e),
            Stmt::Macro(found) => self.a_macro(&found.mac, bytes(&found.mac)),
            _ => visit::visit_stmt(self, s),
        }
    }

    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes: &[Attribute] = match item {
            syn::Item::Fn(item) => &item.attrs,
            syn::Item::Mod(item) => &item.attrs,
            syn::Item::Impl(item) => &item.attrs,
            _ => &[],
        };
        if !is_test(attributes) {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.under(item.ident.to_string(), |c| visit::visit_item_mod(c, item));
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let of = type_name(&item.self_ty);
        let (name, rule) = match &item.trait_ {
            Some((_, path, _)) => {
                let name = last_name(path);
                let shown = name == "Display" || name == "Debug";
                (format!("{of}({name})"), shown.then_some("message"))
            }
            None => (of, None),
        };
        self.under(name, |c| {
            c.excluding(rule, |c| {
                for item in &item.items {
                    c.visit_impl_item(item);
                }
            });
        });
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.under(item.ident.to_string(), |c| {
            visit::visit_item_trait(c, item);
        });
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.a_function(&item.sig, &item.block);
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_test(&item.attrs) {
            self.a_function(&item.sig, &item.block);
        }
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(block) = &item.default {
            self.a_function(&item.sig, block);
        }
    }

    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.excluding(Some("constant"), |c| c.visit_expr(&item.expr));
    }

    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        self.excluding(Some("constant"), |c| c.visit_expr(&item.expr));
    }

    fn visit_impl_item_const(&mut self, item: &'ast syn::ImplItemConst) {
        self.excluding(Some("constant"), |c| c.visit_expr(&item.expr));
    }

    fn visit_pat(&mut self, _: &'ast Pat) {}
    fn visit_type(&mut self, _: &'ast Type) {}
    fn visit_attribute(&mut self, _: &'ast Attribute) {}
    fn visit_generics(&mut self, _: &'ast syn::Generics) {}
    fn visit_path(&mut self, _: &'ast syn::Path) {}
    fn visit_item_macro(&mut self, _: &'ast syn::ItemMacro) {}
    fn visit_item_enum(&mut self, _: &'ast syn::ItemEnum) {}
    fn visit_item_struct(&mut self, _: &'ast syn::ItemStruct) {}
}
