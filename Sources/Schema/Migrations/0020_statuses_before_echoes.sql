-- What a provider told of a message of our side before its echo came: the echo is inserted with
-- the provider's id, where an answer of ours gets it later. What customers wrote has no such status, so their inserts stay as
-- they are; a campaign's messages get theirs after their recipients were counted, by apply_early_campaign_statuses.
CREATE TRIGGER apply_early_statuses_of_echoes AFTER INSERT ON messages
    FOR EACH ROW WHEN (NEW.external_id IS NOT NULL AND NEW.direction = 'outbound' AND NEW.author_type <> 'campaign')
    EXECUTE FUNCTION apply_early_statuses();
