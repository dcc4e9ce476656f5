-- Saved replies.

CREATE TABLE macros (
    org_id uuid NOT NULL REFERENCES organisations (id),
    id uuid NOT NULL DEFAULT uuid_v7(),
    name text NOT NULL,
    name_folded text NOT NULL GENERATED ALWAYS AS (fold(name)) STORED,
    content text NOT NULL,
    -- [{"type": …, "value": …}] in the order in which they are applied.
    actions jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(actions) = 'array'),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (org_id, id),
    -- Also the list's order.
    UNIQUE (org_id, name_folded)
);
SELECT protect_table('macros', 'SELECT, INSERT, UPDATE, DELETE');
