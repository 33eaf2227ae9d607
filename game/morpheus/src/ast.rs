//! What a script says, as a tree.

use std::rc::Rc;

use crate::Position;

/// The bytes of a text: names and chat of players are in whatever encoding they use.
pub type Bytes = Rc<[u8]>;

/// A whole script: its statements, labels among them. A thread that starts at a label runs on into what follows.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    pub body: Block,
}

pub type Block = Vec<Statement>;

#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    pub position: Position,
    pub kind: StatementKind,
}

#[derive(Clone, Debug, PartialEq)]
pub enum StatementKind {
    /// `;`
    Nothing,
    /// `name local.a local.b:`
    Label {
        name: Rc<str>,
        parameters: Vec<Expression>,
    },
    /// `case 1:` or `case "text":`; `default:` is a label.
    Case {
        value: CaseValue,
    },
    Block(Block),
    /// `command a b`
    Command {
        name: Rc<str>,
        arguments: Vec<Expression>,
    },
    /// `listener command a b`
    Method {
        listener: Expression,
        name: Rc<str>,
        arguments: Vec<Expression>,
    },
    /// `target = value`; `target += value` and `target++` are told apart by the operator.
    Assign {
        target: Expression,
        operator: Option<Operator>,
        value: Expression,
    },
    If {
        condition: Expression,
        then: Box<Statement>,
        otherwise: Option<Box<Statement>>,
    },
    While {
        condition: Expression,
        body: Box<Statement>,
    },
    DoWhile {
        body: Box<Statement>,
        condition: Expression,
    },
    For {
        before: Option<Box<Statement>>,
        condition: Expression,
        after: Block,
        body: Box<Statement>,
    },
    Switch {
        value: Expression,
        body: Block,
    },
    Try {
        body: Block,
        catch: Block,
    },
    Break,
    Continue,
}

#[derive(Clone, Debug, PartialEq)]
pub enum CaseValue {
    Integer(i32),
    Text(Bytes),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    pub position: Position,
    pub kind: ExpressionKind,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ExpressionKind {
    Integer(i32),
    Float(f32),
    /// Between quotes, or a word alone.
    Text(Bytes),
    Null,
    Nil,
    /// `local`, `self` and the like.
    Listener(ListenerName),
    /// `$name`, `$(expression)`: the entities of that targetname.
    TargetName(Box<Expression>),
    Vector(Box<[Expression; 3]>),
    /// `listener.name`
    Field {
        of: Box<Expression>,
        name: Rc<str>,
    },
    /// `value.size`
    Size(Box<Expression>),
    /// `value[index]`
    Index {
        of: Box<Expression>,
        index: Box<Expression>,
    },
    /// `a::b::c`
    Array(Vec<Expression>),
    /// The lines between `makearray` and `endarray`.
    MakeArray(Vec<Vec<Expression>>),
    Unary {
        operator: UnaryOperator,
        operand: Box<Expression>,
    },
    Binary {
        operator: Operator,
        left: Box<Expression>,
        right: Box<Expression>,
    },
    Ternary {
        condition: Box<Expression>,
        then: Box<Expression>,
        otherwise: Box<Expression>,
    },
    /// `command a b`, for its value. Has arguments: without any it would be a text.
    Call {
        name: Rc<str>,
        arguments: Vec<Expression>,
    },
    /// `listener command a b`, for its value.
    MethodCall {
        listener: Box<Expression>,
        name: Rc<str>,
        arguments: Vec<Expression>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ListenerName {
    Game,
    Group,
    Level,
    Local,
    Parm,
    Owner,
    SelfEntity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOperator {
    Minus,
    Complement,
    Not,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    LogicalOr,
    LogicalAnd,
    BitOr,
    BitXor,
    BitAnd,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    ShiftLeft,
    ShiftRight,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Operator {
    /// How tightly it binds; all of them to the left.
    pub(crate) fn precedence(self) -> u8 {
        use Operator::{
            Add, BitAnd, BitOr, BitXor, Divide, Equal, Greater, GreaterOrEqual, Less, LessOrEqual,
            LogicalAnd, LogicalOr, Multiply, NotEqual, Remainder, ShiftLeft, ShiftRight, Subtract,
        };
        match self {
            LogicalOr => 1,
            LogicalAnd => 2,
            BitOr => 3,
            BitXor => 4,
            BitAnd => 5,
            Equal | NotEqual => 6,
            Less | LessOrEqual | Greater | GreaterOrEqual => 7,
            ShiftLeft | ShiftRight => 8,
            Add | Subtract => 9,
            Multiply | Divide | Remainder => 10,
        }
    }
}
