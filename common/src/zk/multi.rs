//! multi and multiRead: several operations in one request.
//!
//! Request and reply are the same frame: a [`MultiHeader`] before each part and
//! one that says `done` at the end.

use bytes::BytesMut;

use super::{
    CheckVersionRequest, Create2Response, CreateRequest, CreateTtlRequest, DeleteRequest,
    GetChildrenResponse, GetDataResponse, OpCode, PathResponse, PathWatchRequest, SetDataRequest,
    StatResponse,
};
use crate::jute::{Error, Reader, Record, Result};

/// The type in the header of a part that failed, and in the last header.
const NO_TYPE: i32 = -1;

crate::jute_record! {
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub struct MultiHeader { op: i32, done: bool, err: i32 }
}

impl MultiHeader {
    const END: Self = Self {
        op: NO_TYPE,
        done: true,
        err: -1,
    };

    fn request(op: OpCode) -> Self {
        Self {
            op: op.code(),
            done: false,
            err: -1,
        }
    }

    fn result(op: OpCode) -> Self {
        Self {
            op: op.code(),
            done: false,
            err: 0,
        }
    }
}

/// One operation of a multi (the first seven) or of a multiRead (the last two).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MultiOp {
    Create(CreateRequest),
    Create2(CreateRequest),
    CreateContainer(CreateRequest),
    CreateTtl(CreateTtlRequest),
    Delete(DeleteRequest),
    SetData(SetDataRequest),
    Check(CheckVersionRequest),
    GetData(PathWatchRequest),
    GetChildren(PathWatchRequest),
}

impl MultiOp {
    pub fn op_code(&self) -> OpCode {
        match self {
            Self::Create(_) => OpCode::Create,
            Self::Create2(_) => OpCode::Create2,
            Self::CreateContainer(_) => OpCode::CreateContainer,
            Self::CreateTtl(_) => OpCode::CreateTtl,
            Self::Delete(_) => OpCode::Delete,
            Self::SetData(_) => OpCode::SetData,
            Self::Check(_) => OpCode::Check,
            Self::GetData(_) => OpCode::GetData,
            Self::GetChildren(_) => OpCode::GetChildren,
        }
    }

    fn decode_body(op: i32, reader: &mut Reader) -> Result<Self> {
        let unknown = Error::BadDiscriminant {
            what: "an operation of a multi",
            value: op,
        };
        Ok(
            match OpCode::from_code(op).ok_or_else(|| unknown.clone())? {
                OpCode::Create => Self::Create(reader.read()?),
                OpCode::Create2 => Self::Create2(reader.read()?),
                OpCode::CreateContainer => Self::CreateContainer(reader.read()?),
                OpCode::CreateTtl => Self::CreateTtl(reader.read()?),
                OpCode::Delete => Self::Delete(reader.read()?),
                OpCode::SetData => Self::SetData(reader.read()?),
                OpCode::Check => Self::Check(reader.read()?),
                OpCode::GetData => Self::GetData(reader.read()?),
                OpCode::GetChildren => Self::GetChildren(reader.read()?),
                _ => return Err(unknown),
            },
        )
    }

    fn encode_body(&self, out: &mut BytesMut) {
        match self {
            Self::Create(body) | Self::Create2(body) | Self::CreateContainer(body) => {
                body.encode(out);
            }
            Self::CreateTtl(body) => body.encode(out),
            Self::Delete(body) => body.encode(out),
            Self::SetData(body) => body.encode(out),
            Self::Check(body) => body.encode(out),
            Self::GetData(body) | Self::GetChildren(body) => body.encode(out),
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MultiRequest {
    pub ops: Vec<MultiOp>,
}

impl Record for MultiRequest {
    const MIN_LEN: usize = MultiHeader::MIN_LEN;

    fn encode(&self, out: &mut BytesMut) {
        for op in &self.ops {
            MultiHeader::request(op.op_code()).encode(out);
            op.encode_body(out);
        }
        MultiHeader::END.encode(out);
    }

    fn decode(reader: &mut Reader) -> Result<Self> {
        let mut ops = Vec::new();
        loop {
            let header: MultiHeader = reader.read()?;
            if header.done {
                return Ok(Self { ops });
            }
            ops.push(MultiOp::decode_body(header.op, reader)?);
        }
    }
}

/// What became of one operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MultiResult {
    Create(PathResponse),
    /// Also of createContainer and createTTL.
    Create2(Create2Response),
    Delete,
    SetData(StatResponse),
    Check,
    GetData(GetDataResponse),
    GetChildren(GetChildrenResponse),
    /// An error code; in a failed multi 0 stands before the culprit and
    /// `RuntimeInconsistency` after it.
    Error(i32),
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MultiResponse {
    pub results: Vec<MultiResult>,
}

impl MultiResult {
    fn encode_part(&self, out: &mut BytesMut) {
        let header = |op| MultiHeader::result(op);
        match self {
            Self::Create(body) => {
                header(OpCode::Create).encode(out);
                body.encode(out);
            }
            Self::Create2(body) => {
                header(OpCode::Create2).encode(out);
                body.encode(out);
            }
            Self::Delete => header(OpCode::Delete).encode(out),
            Self::SetData(body) => {
                header(OpCode::SetData).encode(out);
                body.encode(out);
            }
            Self::Check => header(OpCode::Check).encode(out),
            Self::GetData(body) => {
                header(OpCode::GetData).encode(out);
                body.encode(out);
            }
            Self::GetChildren(body) => {
                header(OpCode::GetChildren).encode(out);
                body.encode(out);
            }
            Self::Error(code) => {
                let header = MultiHeader {
                    op: NO_TYPE,
                    done: false,
                    err: *code,
                };
                header.encode(out);
                code.encode(out);
            }
        }
    }

    fn decode_body(op: i32, reader: &mut Reader) -> Result<Self> {
        if op == NO_TYPE {
            return Ok(Self::Error(reader.read()?));
        }
        let unknown = Error::BadDiscriminant {
            what: "a result of a multi",
            value: op,
        };
        Ok(
            match OpCode::from_code(op).ok_or_else(|| unknown.clone())? {
                OpCode::Create => Self::Create(reader.read()?),
                OpCode::Create2 | OpCode::CreateContainer | OpCode::CreateTtl => {
                    Self::Create2(reader.read()?)
                }
                OpCode::Delete => Self::Delete,
                OpCode::SetData => Self::SetData(reader.read()?),
                OpCode::Check => Self::Check,
                OpCode::GetData => Self::GetData(reader.read()?),
                OpCode::GetChildren => Self::GetChildren(reader.read()?),
                _ => return Err(unknown),
            },
        )
    }
}

impl Record for MultiResponse {
    const MIN_LEN: usize = MultiHeader::MIN_LEN;

    fn encode(&self, out: &mut BytesMut) {
        for result in &self.results {
            result.encode_part(out);
        }
        MultiHeader::END.encode(out);
    }

    fn decode(reader: &mut Reader) -> Result<Self> {
        let mut results = Vec::new();
        loop {
            let header: MultiHeader = reader.read()?;
            if header.done {
                return Ok(Self { results });
            }
            results.push(MultiResult::decode_body(header.op, reader)?);
        }
    }
}
