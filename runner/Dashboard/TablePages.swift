/// The studio's pages as HTML: no script, no address but its own.
enum TablePages {
    static func tables(_ tables: [TableBrowser.Table]) -> String {
        let rows = tables.map { table in
            """
            <tr><td><a href="/tables/\(escaped(table.name))">\(escaped(table.name))</a></td>\
            <td class="n">\(table.rows < 0 ? "–" : String(table.rows))</td><td class="n">\(table.bytes / 1024)</td></tr>
            """
        }
        return page(
            "Tables",
            """
            <table><tr><th>table</th><th>rows, about</th><th>KiB</th></tr>
            \(rows.joined(separator: "\n"))
            </table>
            """
        )
    }

    static func rows(_ page: TableBrowser.Page, of table: String, number: Int) -> String {
        let head = page.columns.map { "<th title=\"\(escaped($0.type))\">\(escaped($0.name))</th>" }
        let rows = page.rows.map { row in
            "<tr>" + row.map { "<td>\($0.map(escaped) ?? "<i>null</i>")</td>" }.joined() + "</tr>"
        }
        var links: [String] = []
        if number > 0 { links.append("<a href=\"?page=\(number - 1)\">newer</a>") }
        if page.hasMore { links.append("<a href=\"?page=\(number + 1)\">older</a>") }
        let masked = page.columns.contains(where: \.isMasked)
        return Self.page(
            table,
            """
            <p>\(links.joined(separator: " · "))</p>
            <table><tr>\(head.joined())</tr>
            \(rows.joined(separator: "\n"))
            </table>
            \(page.rows.isEmpty ? "<p>No rows. Where row-level security binds the owner too, name one with --org.</p>" : "")
            \(masked ? "<p>••• is masked; --show-data shows all but secrets and hashes.</p>" : "")
            """
        )
    }

    static func message(_ title: String, _ text: String) -> String {
        page(title, "<p>\(escaped(text))</p>")
    }

    private static func page(_ title: String, _ body: String) -> String {
        """
        <!doctype html>
        <html lang="en"><head><meta charset="utf-8"><title>\(escaped(title)) · DelightChat</title>
        <style>
        body { font: 14px system-ui, sans-serif; margin: 1.5rem; }
        table { border-collapse: collapse; }
        th, td { border: 1px solid #ccc; padding: .25rem .5rem; text-align: left; vertical-align: top; max-width: 40rem; overflow-wrap: anywhere; }
        .n { text-align: right; }
        </style></head>
        <body><h1><a href="/">DelightChat</a> · \(escaped(title))</h1>
        \(body)
        </body></html>
        """
    }

    static func escaped(_ text: String) -> String {
        var escaped = ""
        for character in text.unicodeScalars {
            switch character {
            case "&": escaped += "&amp;"
            case "<": escaped += "&lt;"
            case ">": escaped += "&gt;"
            case "\"": escaped += "&quot;"
            case "'": escaped += "&#39;"
            default: escaped.unicodeScalars.append(character)
            }
        }
        return escaped
    }
}
