//! A definition that is read member by member.

use crate::builder::Builder;
use crate::grammar::Rule;
use crate::parse_tree::Node;
use crate::syntax::{Definition, Enum, Service, Struct};

/// A definition that is read member by member.
#[derive(Debug)]
pub(crate) enum Body {
    Struct(Struct),
    Enum(Enum),
    Service(Service),
}

impl Body {
    /// The rule for any number of members, the closing brace and annotations.
    pub(crate) const fn rest(&self) -> Rule {
        match self {
            Self::Struct(_) => Rule::struct_rest,
            Self::Enum(_) => Rule::enum_rest,
            Self::Service(_) => Rule::service_rest,
        }
    }

    /// The rule for any number of members.
    pub(crate) const fn members(&self) -> Rule {
        match self {
            Self::Struct(_) => Rule::fields,
            Self::Enum(_) => Rule::enum_values,
            Self::Service(_) => Rule::functions,
        }
    }

    /// The rule for the start of a member. `in_brackets` says whether an error may have left brackets open.
    pub(crate) const fn member_start(&self, in_brackets: bool) -> Option<Rule> {
        match (self, in_brackets) {
            (Self::Struct(_), false) => Some(Rule::field_start),
            (Self::Struct(_), true) => Some(Rule::field_start_in_brackets),
            (Self::Enum(_), false) => Some(Rule::enum_value_start),
            (Self::Enum(_), true) => None,
            (Self::Service(_), false) => Some(Rule::function_start),
            (Self::Service(_), true) => Some(Rule::function_start_in_brackets),
        }
    }

    pub(crate) fn part(&mut self, builder: &mut Builder<'_>, node: Node<'_>) {
        match self {
            Self::Struct(item) => builder.struct_part(item, node),
            Self::Enum(item) => builder.enum_part(item, node),
            Self::Service(item) => builder.service_part(item, node),
        }
    }

    pub(crate) fn finish(self, end: u32) -> Definition {
        match self {
            Self::Struct(mut item) => {
                item.span.end = end;
                Definition::Struct(item)
            }
            Self::Enum(mut item) => {
                item.span.end = end;
                Definition::Enum(item)
            }
            Self::Service(mut item) => {
                item.span.end = end;
                Definition::Service(item)
            }
        }
    }
}
