import Functions

/// Rows of recipients, checked and brought into the text form of COPY while they arrive.
struct RecipientUpload: Sendable {
    /// A row that makes no recipient.
    struct Fault: Sendable, Equatable {
        let row: Int
        let message: String
    }

    static let most = 1_000_000
    private static let faultsShown = 100
    private static let chunk = 256 << 10

    /// Rows that are well-formed.
    private(set) var count = 0
    /// The first hundred of those that aren't.
    private(set) var invalid: [Fault] = []
    private(set) var invalidCount = 0

    private let file: SpoolFile
    private var pending: [UInt8] = []
    private var row = 0

    /// The rows for `COPY … (row, phone, handle, name, variables)`; may be read again.
    var chunks: SpoolFile.Chunks { file.chunks }

    private init() throws {
        file = try SpoolFile()
        pending.reserveCapacity(Self.chunk + 8192)
    }

    init(_ recipients: [JSON]) async throws {
        try self.init()
        for recipient in recipients { try take(RecipientRow.read(recipient)) }
        try await flush()
    }

    /// - Throws: ``Failure/invalid(_:_:)`` for a header that names no recipient; ``Failure/unreadable(_:)`` for an empty body.
    init(csv stream: BodyStream) async throws {
        try self.init()
        var reader = CSVReader()
        var columns: RecipientRow.Columns?
        var isEmpty = true
        try await stream.read { bytes in
            isEmpty = isEmpty && bytes.isEmpty
            try reader.read(bytes) { record in
                if let columns {
                    try take(columns.row(record))
                } else {
                    columns = try RecipientRow.Columns(header: record)
                }
            }
            if pending.count >= Self.chunk { try await flush() }
        }
        guard !isEmpty else { throw Failure.unreadable("A CSV body is needed.") }
        try reader.finish { record in
            if let columns {
                try take(columns.row(record))
            } else {
                columns = try RecipientRow.Columns(header: record)
            }
        }
        guard columns != nil else { throw Failure.invalid("", "needs a header row with a phone or handle column") }
        try await flush()
    }

    /// - Throws: ``Failure/unreadable(_:)`` for an empty body.
    init(lines stream: BodyStream) async throws {
        try self.init()
        var reader = LineReader()
        var isEmpty = true
        try await stream.read { bytes in
            isEmpty = isEmpty && bytes.isEmpty
            try reader.read(bytes) { try take(RecipientRow.read(line: $0)) }
            if pending.count >= Self.chunk { try await flush() }
        }
        guard !isEmpty else { throw Failure.unreadable("A body of lines is needed.") }
        try reader.finish { try take(RecipientRow.read(line: $0)) }
        try await flush()
    }

    private mutating func take(_ result: Result<RecipientRow, RecipientRow.Unreadable>) throws(Failure) {
        row += 1
        guard row <= Self.most else {
            throw Failure(status: 413, detail: "The body has more than \(Self.most) rows.")
        }
        switch result {
        case .success(let recipient):
            count += 1
            recipient.write(row: row, into: &pending)
        case .failure(let fault):
            invalidCount += 1
            if invalid.count < Self.faultsShown { invalid.append(Fault(row: row, message: fault.message)) }
        }
    }

    private mutating func flush() async throws {
        guard !pending.isEmpty else { return }
        try await file.append(pending)
        pending.removeAll(keepingCapacity: true)
    }
}

/// One recipient as uploaded, checked.
struct RecipientRow: Sendable, Equatable {
    /// Why a row makes no recipient, as a sentence about it.
    struct Unreadable: Error, Equatable {
        let message: String
    }

    private static let longestVariables = 8192

    let phone: String?
    let handle: String?
    let name: String?
    /// A JSON object as text.
    let variables: String

    private init(phone: String?, handle: String?, name: String?, variables: [JSON.Member]) throws(Unreadable) {
        func given(_ text: String?) -> String? {
            text.flatMap { $0.unicodeScalars.allSatisfy(\.properties.isWhitespace) ? nil : $0 }
        }
        guard given(phone) != nil || given(handle) != nil else {
            throw Unreadable(message: "needs a phone or a handle")
        }
        self.phone = try given(phone).map { (text) throws(Unreadable) -> String in
            guard let number = PhoneNumber.normalised(text) else {
                throw Unreadable(message: "phone must be a phone number: + and 7 to 15 digits")
            }
            return number
        }
        self.handle = try Self.checked(given(handle), "handle")
        self.name = try Self.checked(given(name), "name")
        let object = JSON.object(variables)
        guard object.isStorable else { throw Unreadable(message: "variables must not contain U+0000") }
        self.variables = object.text
        guard self.variables.utf8.count <= Self.longestVariables else {
            throw Unreadable(message: "variables must have at most \(Self.longestVariables) bytes")
        }
    }

    private static func checked(_ text: String?, _ field: String) throws(Unreadable) -> String? {
        guard let text else { return nil }
        guard text.utf8.count <= 800, text.unicodeScalars.count <= 200 else {
            throw Unreadable(message: "\(field) must have at most 200 characters")
        }
        // Every control character of a name that can be typed is below U+0020 or in U+007F…U+009F.
        guard text.unicodeScalars.allSatisfy({ $0.value >= 0x20 && !(0x7F...0x9F).contains($0.value) || $0 == "\t" })
        else {
            throw Unreadable(message: "\(field) must not contain control characters")
        }
        return text
    }

    static func read(_ json: JSON) -> Result<RecipientRow, Unreadable> {
        guard case .object(let members) = json else {
            return .failure(.init(message: "must be an object, not \(json.kind)"))
        }
        var texts: [String: String] = [:]
        var variables: [JSON.Member] = []
        for member in members where member.value != .null {
            switch (member.name, member.value) {
            case ("phone", .string(let text)), ("handle", .string(let text)), ("name", .string(let text)):
                texts[member.name] = text
            case ("phone", _), ("handle", _), ("name", _):
                return .failure(.init(message: "\(member.name) must be a string, not \(member.value.kind)"))
            case ("variables", .object(let given)):
                for variable in given {
                    switch variable.value {
                    case .string, .number, .bool: variables.append(variable)
                    case .null: continue
                    case .array, .object:
                        return .failure(.init(message: "variables/\(variable.name) must be a text, number or boolean"))
                    }
                }
            case ("variables", _):
                return .failure(.init(message: "variables must be an object, not \(member.value.kind)"))
            default: return .failure(.init(message: "\(member.name) is not a known member"))
            }
        }
        return Result { () throws(Unreadable) in
            try RecipientRow(
                phone: texts["phone"],
                handle: texts["handle"],
                name: texts["name"],
                variables: variables
            )
        }
    }

    /// A line of NDJSON; `nil` for one that is too long.
    static func read(line: ArraySlice<UInt8>?) -> Result<RecipientRow, Unreadable> {
        guard let line else { return .failure(.init(message: "is longer than \(LineReader.longest) bytes")) }
        do {
            return read(try JSON.parse(line))
        } catch {
            return .failure(.init(message: "is no JSON: it \(error.message) at byte \(error.offset)"))
        }
    }

    /// What the columns of a CSV mean, by its header.
    struct Columns: Sendable {
        private enum Meaning: Sendable {
            case phone, handle, name
            case variable(String)
        }

        private let meanings: [Meaning]

        /// - Throws: ``Failure/invalid(_:_:)`` for a header without a phone or handle, or with a name that is empty or comes twice.
        init(header: CSVReader.Record) throws(Failure) {
            guard case .fields(let names) = header else {
                throw Failure.invalid("", "needs a header row that can be read")
            }
            var seen: Set<String> = []
            var meanings: [Meaning] = []
            for name in names {
                let name = name.trimmingSpaces
                guard !name.isEmpty, seen.insert(name).inserted, !name.utf8.contains(0) else {
                    throw Failure.invalid("", "has a column without a name or twice of the same name in its header")
                }
                switch name.lowercased() {
                case "phone": meanings.append(.phone)
                case "handle": meanings.append(.handle)
                case "name": meanings.append(.name)
                default: meanings.append(.variable(name))
                }
            }
            guard seen.contains(where: { ["phone", "handle"].contains($0.lowercased()) }) else {
                throw Failure.invalid("", "needs a header row with a phone or handle column")
            }
            self.meanings = meanings
        }

        func row(_ record: CSVReader.Record) -> Result<RecipientRow, Unreadable> {
            switch record {
            case .malformed(let message): return .failure(Unreadable(message: message))
            case .fields(let fields):
                guard fields.count == meanings.count else {
                    return .failure(Unreadable(message: "has \(fields.count) fields, the header \(meanings.count)"))
                }
                var phone: String?
                var handle: String?
                var name: String?
                var variables: [JSON.Member] = []
                for (meaning, field) in zip(meanings, fields) where !field.isEmpty {
                    switch meaning {
                    case .phone: phone = field
                    case .handle: handle = field
                    case .name: name = field
                    case .variable(let variable): variables.append(.init(variable, .string(field)))
                    }
                }
                return Result { () throws(Unreadable) in
                    try RecipientRow(phone: phone, handle: handle, name: name, variables: variables)
                }
            }
        }
    }

    /// A line of COPY's text form (PostgreSQL manual, COPY, "Text Format").
    func write(row: Int, into bytes: inout [UInt8]) {
        bytes.append(contentsOf: String(row).utf8)
        for text in [phone, handle, name, variables] {
            bytes.append(UInt8(ascii: "\t"))
            guard let text else {
                bytes.append(contentsOf: #"\N"#.utf8)
                continue
            }
            for byte in text.utf8 {
                switch byte {
                case UInt8(ascii: "\\"): bytes.append(contentsOf: #"\\"#.utf8)
                case 0x09: bytes.append(contentsOf: #"\t"#.utf8)
                case 0x0A: bytes.append(contentsOf: #"\n"#.utf8)
                case 0x0D: bytes.append(contentsOf: #"\r"#.utf8)
                default: bytes.append(byte)
                }
            }
        }
        bytes.append(0x0A)
    }
}

extension String {
    fileprivate var trimmingSpaces: String {
        var part = self[...]
        while part.first?.isWhitespace == true { part.removeFirst() }
        while part.last?.isWhitespace == true { part.removeLast() }
        return String(part)
    }
}
