"""From texts and conversations to tokens: the model's tokenizer and chat template, as Whence uses them. No torch."""
