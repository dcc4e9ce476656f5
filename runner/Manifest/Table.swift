import Cron

/// Rows of text under headings, for the terminal.
package struct Table: Sendable, Equatable, CustomStringConvertible {
    package let headings: [String]
    package let rows: [[String]]

    package init(_ headings: [String], rows: [[String]]) {
        self.headings = headings
        self.rows = rows
    }

    /// Columns aligned by spaces, one line a row, without a line end after the last.
    package var description: String {
        let lines = [headings] + rows
        let widths = headings.indices.map { column in lines.map { $0[column].count }.max() ?? 0 }
        return lines.map { line in
            let cells = zip(line, widths).map { cell, width in cell + String(repeating: " ", count: width - cell.count)
            }
            let text = cells.joined(separator: "  ")
            return String(text.reversed().drop { $0 == " " }.reversed())
        }
        .joined(separator: "\n")
    }
}

extension Manifest {
    /// Every function with its trigger, in the order of the file.
    package var functionTable: Table {
        Table(
            ["FUNCTION", "TRIGGER", "ACCESS", "GROUP", "TIMEOUT"],
            rows: functions.map { function in
                [
                    function.name, function.trigger.description,
                    function.trigger.kind == .http ? function.access.rawValue : "-",
                    function.group, function.timeout.map(DurationText.text) ?? "none",
                ]
            }
        )
    }

    /// Every HTTP function, by path and then method.
    package var routeTable: Table {
        let routes = functions.compactMap { function -> (path: String, row: [String])? in
            guard case .http(let http) = function.trigger else { return nil }
            let path = http.path.description
            return (path, [http.method.rawValue, path, function.access.rawValue, function.name])
        }
        let sorted = routes.sorted { ($0.path, $0.row[0]) < ($1.path, $1.row[0]) }
        return Table(["METHOD", "PATH", "ACCESS", "FUNCTION"], rows: sorted.map(\.row))
    }

    /// The groups, how far they scale, and how many functions each has.
    package var groupTable: Table {
        Table(
            ["GROUP", "SCALE", "FUNCTIONS"],
            rows: groups.map { group in
                let scale = "\(group.scale.lowerBound)..\(group.scale.upperBound)"
                return [group.name, scale, "\(functions(inGroup: group.name).count)"]
            }
        )
    }
}

extension FunctionDeclaration {
    /// Everything that the file says of the function, as label and value, what doesn't apply left out.
    package var facts: [(label: String, value: String)] {
        var facts = [("function", name)]
        if let doc { facts.append(("doc", doc)) }
        facts += [
            ("handler", handler), ("source", "Sources/Helpdesk/\(handler).swift"), ("trigger", trigger.description),
        ]
        switch trigger {
        case .http(let http):
            facts.append(("access", access.rawValue))
            for case .parameter(let name, let type) in http.path.segments {
                facts.append(("parameter", "\(name) (\(type.rawValue))"))
            }
            facts.append(("body limit", SizeText.text(bodyLimits.standard)))
            for (type, limit) in bodyLimits.byType.sorted(by: { $0.key < $1.key }) {
                facts.append(("body limit", "\(SizeText.text(limit)) of \(type)"))
            }
        case .queue(let queue):
            facts.append(("batch", "\(queue.batch)"))
            facts.append(("attempts", "\(queue.attempts)"))
            facts.append(("backoff", queue.backoff.map(\.description) ?? "none"))
        case .schedule(let schedule):
            facts.append(("time zone", schedule.timezone))
            facts.append(("overlap", schedule.overlap.rawValue))
        }
        if let concurrency { facts.append(("concurrency", "\(concurrency)")) }
        facts.append(("timeout", timeout.map(DurationText.text) ?? "none"))
        if let idleTimeout { facts.append(("idle timeout", DurationText.text(idleTimeout))) }
        facts.append(("group", group))
        facts.append(("uses", uses.isEmpty ? "nothing" : uses.joined(separator: ", ")))
        return facts
    }
}

extension Trigger: CustomStringConvertible {
    /// `POST /orgs/:orgId/tickets`, `queue inbound` or `schedule */15 * * * *`.
    package var description: String {
        switch self {
        case .http(let http): "\(http.method.rawValue) \(http.path)"
        case .queue(let queue): "queue \(queue.queue)"
        case .schedule(let schedule): "schedule \(schedule.cron)"
        }
    }
}
