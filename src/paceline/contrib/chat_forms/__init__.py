"""Chat forms: conversations, as evaluation frameworks have them, written as the request of a provider, and its replies read.

A conversation is plain data, so that no framework and no provider's package is needed here:

    {"role": "system", "content": "Be brief."}
    {"role": "user", "content": [{"type": "text", "text": "What is this?"}, {"type": "image", "image": "data:image/png;base64,..."}]}
    {"role": "assistant", "content": "", "tool_calls": [{"id": "1", "function": "look", "arguments": {"at": "sky"}}]}
    {"role": "tool", "tool_call_id": "1", "function": "look", "content": "blue", "error": {"message": "..."}}

A tool is `{"name", "description", "parameters"}`, with the parameters as a JSON schema; a choice of tools is `auto`, `any`, `none`, or
the name of a tool in a list.

Rules owned here:

1. Settings go by inspect_ai's names (`temperature`, `max_tokens`, `stop_seqs`, ...). Those that a provider lacks are returned, so that the
   caller can say so: a comparison of models often sets the same for all of them.
2. A content that a provider cannot receive is refused, with a sentence.
3. What a model thought is sent back where the provider asks for it.
"""
