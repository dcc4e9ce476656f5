import JSON
import Postgres

/// What is done to write a row, one step after another.
///
/// Made once from a record's columns. A step holds nothing that is counted, so writing a page of hundreds of values costs no
/// retains: walking the columns themselves took a quarter of a request for 25 tickets.
struct RecordSteps: Sendable {
    private enum Kind {
        case string, verbatim, boolean, time, texts
        /// A nested object begins; one that may be null is where its first column is.
        case open, openNullable
        case close
    }

    private struct Step {
        let kind: Kind
        /// Where its name with quotes and colon lies in ``names``.
        var nameStart = 0
        var nameEnd = 0
        /// Of an object: its columns and steps, passed over where it is null.
        var columns = 0
        var steps = 0
    }

    private var steps: [Step] = []
    private var names: [UInt8] = []

    init(_ columns: [Record.Column]) {
        append(columns)
    }

    private mutating func append(_ columns: [Record.Column]) {
        for column in columns {
            switch column.kind {
            case .text, .uuid, .choice: append(.string, column.name)
            case .integer, .number, .json: append(.verbatim, column.name)
            case .boolean: append(.boolean, column.name)
            case .time: append(.time, column.name)
            case .texts: append(.texts, column.name)
            case .list: break
            case .object(let members):
                let first = steps.count
                append(column.isNullable ? .openNullable : .open, column.name)
                append(members)
                steps.append(Step(kind: .close))
                steps[first].columns = column.leaves.count
                steps[first].steps = steps.count - first
            }
        }
    }

    private mutating func append(_ kind: Kind, _ name: String) {
        var step = Step(kind: kind)
        step.nameStart = names.count
        names.append(contentsOf: "\"\(name)\":".utf8)
        step.nameEnd = names.count
        steps.append(step)
    }

    /// Writes the members of one row, reading from column `first` on.
    func write(_ rows: PostgresRows, row: Int, from first: Int, into writer: inout JSONWriter) {
        names.withUnsafeBufferPointer { names in
            steps.withUnsafeBufferPointer { steps in
                var column = first
                var index = 0
                while index < steps.count {
                    let step = steps[index]
                    index += 1
                    if step.kind == .close {
                        writer.endObject()
                        continue
                    }
                    writer.prepared(name: UnsafeBufferPointer(rebasing: names[step.nameStart..<step.nameEnd]))
                    switch step.kind {
                    case .open: writer.beginObject()
                    case .openNullable:
                        if rows.isNull(row: row, column: column) {
                            writer.null()
                            column += step.columns
                            index += step.steps - 1
                        } else {
                            writer.beginObject()
                        }
                    default:
                        rows.withText(row: row, column: column) { Self.write($0, step.kind, into: &writer) }
                        column += 1
                    }
                }
            }
        }
    }

    private static func write(_ text: UnsafeRawBufferPointer?, _ kind: Kind, into writer: inout JSONWriter) {
        guard let text else { return writer.null() }
        switch kind {
        case .string: writer.string(text)
        case .verbatim: writer.verbatim(text)
        case .boolean: writer.bool(text.first == UInt8(ascii: "t"))
        case .time: writer.time(text)
        case .texts: writer.array { for element in [String](postgresText: text) ?? [] { $0.string(element) } }
        case .open, .openNullable, .close: break
        }
    }
}
