"""The batch APIs of OpenAI, Anthropic and Gemini, through their packages."""
